# SPDX-License-Identifier: Apache-2.0
"""An inspected interface, for programs; docs/cli.md has the keys."""

from base64 import b64encode
from dataclasses import asdict

from krait.agent import inspect
from krait.agent.inspect import Inspection, PeerSeen, condition
from krait.cli import guarded
from krait.cli.inspection import enforces
from krait.cli.output import Json
from krait.kernel.generation import NO_TIME, Count, Moment
from krait.kernel.wireguard import Device, NotWireguard


def report(found: Inspection) -> Json:
    """As JSON; keys are only ever added."""
    word, why = condition(found)
    live, tables, record = found.live, found.tables, found.record
    now = tables.now if tables else NO_TIME
    drops = tables.drops if tables else {}
    return {
        "interface": found.interface,
        "namespace": found.namespace,
        "condition": word,
        "why": why,
        "enforced": enforces(found),
        "wireguard": _implementation(found.device),
        "unseen": _unseen(found.unseen),
        "hooks": {
            hook.value: [
                {"kind": seat.kind.value, "first": not seat.ahead, "ahead": seat.ahead}
                for seat in seats
            ]
            for hook, seats in found.seats.items()
        },
        "policy": {
            "revision": tables.revision if tables else 0,
            "in_force": bool(tables and tables.armed),
            "named": record is not None,
            "committed_s": record.committed_s if record else None,
            "document": record.source if record else None,
            "sha256": record.sha256 if record else None,
            "guard": record.guard if record else None,
        },
        "agent": {
            "pid": found.pid,
            "faults": [asdict(fault) for fault in live.faults] if live else [],
            "warnings": live.warnings if live else [],
        },
        "withheld": live.withheld if live else [],
        "made": _ordered(found),
        "trial": _tried(found),
        "peers": [_peer(each, now) for each in inspect.peers(found)],
        "rules": {name: _count(count, now) for name, count in inspect.rules(found).items()},
        "shadow": {
            "document": (record.shadow or None) if record else None,
            "rules": {
                name: {outcome.name.lower(): _count(count, now) for outcome, count in each.items()}
                for name, each in inspect.rehearsed(found).items()
            },
        },
        "rejections": {
            each.name.lower(): _count(count, now)
            for each, count in (tables.rejections if tables else {}).items()
        },
        "drops": {reason.label: _count(count, now) for reason, count in drops.items()},
        "guard": guarded.report(found.guard),
    }


def _implementation(device: Device | None) -> str | None:
    if device is None:
        return None
    return "userspace" if device.userspace else "kernel"


def _unseen(error: NotWireguard | None) -> Json:
    return None if error is None else {"message": error.message, "hint": error.hint}


def _peer(seen: PeerSeen, now: Moment) -> Json:
    peer = seen.peer
    return {
        "public_key": b64encode(peer.public_key).decode(),
        "name": seen.name,
        "tags": seen.tags,
        "identity": seen.identity,
        "endpoint": peer.endpoint,
        "allowed_ips": [str(cidr) for cidr in peer.allowed_ips],
        "latest_handshake_s": peer.latest_handshake_s or None,
        "rx_bytes": peer.rx_bytes,
        "tx_bytes": peer.tx_bytes,
        "dropped": _count(seen.dropped, now) if seen.dropped else None,
    }


def _ordered(found: Inspection) -> Json:
    orders = found.standing.orders
    if orders is None:
        return None
    node = found.live.node if found.live else None
    return {"document": orders.config, "node": node, "userspace": orders.userspace}


def _tried(found: Inspection) -> Json:
    trial = found.standing.trial
    if trial is None:
        return None
    before = trial.before.config if trial.before else None
    return {"left_s": max(trial.left_s(), 0.0), "before": before}


def _count(count: Count, now: Moment) -> Json:
    return {"packets": count.packets, "bytes": count.bytes, "age_s": count.age_s(now)}
