# SPDX-License-Identifier: Apache-2.0
"""Endpoints that a device's own routes draw into the tunnel that is to reach them."""

from collections.abc import Iterator
from dataclasses import dataclass

from krait.policy.device import WantedDevice
from krait.policy.endpoint import parse
from krait.policy.model import Address, Network


@dataclass(frozen=True, slots=True)
class Loop:
    """A peer whose endpoint is in a range that leads to this very peer."""

    peer: str
    endpoint: Address
    cidr: Network

    def __str__(self) -> str:
        where = f"the endpoint of {self.peer}, {self.endpoint}, is in {self.cidr}"
        return f"{where}, which the tunnel to {self.peer} leads to"


def loops(device: WantedDevice) -> Iterator[Loop]:
    """Those by address; what a name resolves to is not known here.

    An endpoint that the tunnel to *another* peer leads to is none: it may well be behind that one.
    """
    for peer in device.peers:
        address = parse(peer.endpoint).address if peer.endpoint else None
        around = [cidr for cidr in peer.allowed_ips if address and address in cidr]
        if address is None or not around:
            continue
        found = max(around, key=lambda cidr: cidr.prefixlen)
        others = (cidr for other in device.peers for cidr in other.allowed_ips)
        narrower = (
            cidr.prefixlen > found.prefixlen and address in cidr
            for cidr in (*device.behind, *others)
        )
        if not any(narrower):
            yield Loop(peer.name, address, found)
