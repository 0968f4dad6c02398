# SPDX-License-Identifier: Apache-2.0
"""The demo for programs."""

from collections.abc import Sequence

from krait.cli.output import Json
from krait.lab.demo.findings import Act, Cut, Enforced, Kept, Orphaned, Revoked, Wire
from krait.lab.demo.matrix import Matrix
from krait.lab.demo.stage import Stage


def report(stage: Stage, acts: Sequence[Act], took_s: float, keeper_pid: int | None) -> Json:
    """Everything that was seen. `kept` is null unless the hosts stay up."""
    played: list[Json] = [
        {"act": type(act).__name__.lower(), "held": act.held, **_act(act)} for act in acts
    ]
    prefixes = {host.name: host.prefix for host in stage.hosts}
    return {
        "ok": all(act.held for act in acts),
        "took_s": round(took_s, 3),
        "wireguard": "userspace" if stage.userspace else "kernel",
        "attach": stage.kind.value,
        "policy": stage.policy(),
        "acts": played,
        "kept": {"pid": keeper_pid, "prefixes": prefixes} if keeper_pid else None,
    }


def _act(act: Act) -> dict[str, Json]:
    match act:
        case Enforced():
            drops = {
                host: {reason.label: count for reason, count in counted.items()}
                for host, counted in act.drops.items()
            }
            return {"open_before": act.open, "cells": _cells(act.matrix), "drops": drops}
        case Revoked():
            return {
                "diff": act.diff,
                "rename_to_commit_ns": act.rename_to_commit_ns,
                "cuts": [_cut(cut) for cut in act.cuts],
                "flows": [_kept(act.kept)],
            }
        case Orphaned():
            return {"cells": _cells(act.matrix), "flows": [_kept(kept) for kept in act.kept]}


def _cells(matrix: Matrix) -> list[Json]:
    return [
        {
            "from": outcome.cell.source,
            "to": outcome.cell.destination,
            "probe": str(outcome.cell.probe),
            "family": outcome.cell.family,
            "allowed": outcome.decision.allows,
            "rule": outcome.decision.rule.name if outcome.decision.rule else None,
            "answer": outcome.answer,
            "agrees": outcome.agrees,
        }
        for outcome in matrix
    ]


def _cut(cut: Cut) -> dict[str, Json]:
    return {
        "from": cut.source,
        "to": cut.destination,
        **_wire(cut.wire),
        "youngest_sent_after_commit_ns": cut.sent_after_ns,
        "last_read_after_commit_ns": cut.heard_after_ns,
        "packets_in_vain": cut.in_vain,
        "held": cut.held,
    }


def _kept(kept: Kept) -> dict[str, Json]:
    return {
        "from": kept.wire.source,
        "to": kept.wire.destination,
        **_wire(kept.wire),
        "longest_gap_ns": kept.gap_ns,
        "fault": kept.fault,
        "held": kept.held,
    }


def _wire(wire: Wire) -> dict[str, Json]:
    return {"flow": str(wire), "family": wire.family}
