# SPDX-License-Identifier: Apache-2.0
"""Checks of whether this machine passes packets on, and whether its document says so."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from krait.cli.doctor import documents
from krait.cli.doctor.finding import Answer, note, ok, warn
from krait.kernel.facts import Facts
from krait.kernel.wireguard import Device
from krait.policy.model import Node


def forwarding(facts: Facts, device: Device, places: Sequence[Path]) -> Answer:
    """A machine that forwards, and a document that does not say so; and the other way round."""
    on = [name for name, is_on in _families(facts).items() if is_on]
    words = f"{' and '.join(on)} forwarding is on"
    node = documents.node(device, places)
    if node is not None and (
        lacking := [each for each in _forwards(node, device) if each not in on]
    ):
        off, mend = f"{' and '.join(lacking)} forwarding is off", _switch_on(lacking)
        if node.transit:
            return warn(f"{node.name} is a hub, but {off}: nothing is passed on", mend)
        return note(
            f"{node.name} has routes, but {off}: of those subnets, peers reach this machine's own "
            "addresses alone",
            f"if it is meant to be their router:\n{mend}",
        )
    if not on:
        return ok("off: this machine passes nothing on between others")
    if documents.first(places) is None:
        return note(f"{words}; `krait init` will say `transit: true`")
    if node is None:
        return note(words)  # what is wrong is the answer of `document`
    if node.transit or node.routes:
        return ok(f"{words}, and {node.name} {'is a hub' if node.transit else 'has routes'}")
    return warn(
        f"{words}, but {node.name} is no hub: what passes from peer to peer is dropped",
        f"Say `transit: true` under {node.name} if it is meant to be one.",
    )


def _switch_on(families: Sequence[str]) -> str:
    settings = {"IPv4": "net.ipv4.ip_forward", "IPv6": "net.ipv6.conf.all.forwarding"}
    return "\n".join(f"sysctl -w {settings[each]}=1" for each in families)


def _families(facts: Facts) -> Mapping[str, bool | None]:
    return {"IPv4": facts.forwarding4, "IPv6": facts.forwarding6}


def _forwards(node: Node, device: Device) -> tuple[str, ...]:
    """The families in which a node passes packets on: its subnets', and a hub's peers'."""
    cidrs = [route.cidr for route in node.routes]
    if node.transit:
        cidrs += [cidr for peer in device.peers for cidr in peer.allowed_ips]
    return tuple(f"IPv{version}" for version in sorted({cidr.version for cidr in cidrs}))
