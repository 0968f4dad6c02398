# SPDX-License-Identifier: Apache-2.0
"""A machine in memory on which steps can be done: what WireGuard, links and routes make of them."""

from collections.abc import Set
from dataclasses import dataclass, field, replace

from krait.agent.managed.diff import (
    Addresses,
    Configure,
    Listen,
    Make,
    Routes,
    Seen,
    SetMtu,
    SetMulticast,
    Step,
    Up,
    Wish,
)
from krait.agent.managed.ports import Lead
from krait.kernel.link import Link
from krait.kernel.wireguard import NO_KEY, Device, Peer
from krait.kernel.wireguard.configure import DeviceChange, PeerChange
from krait.kernel.wireguard.device import seal
from krait.policy.model import Network
from krait.policy.view import InterfaceAddress

IFINDEX = 7


@dataclass
class Bench:
    """What there is, and everything that was done to it."""

    wish: Wish
    link: Link | None = None
    device: Device | None = None
    routes: dict[Lead, set[Network]] = field(default_factory=lambda: {each: set() for each in Lead})
    moved: list[Network] = field(default_factory=list)
    """Prefixes that one step took from one peer and gave to another."""

    def seen(self) -> Seen:
        return Seen(self.link, self.device, self.leads())

    def leads(self) -> dict[Lead, frozenset[Network]]:
        return {lead: frozenset(each) for lead, each in self.routes.items()}

    def do(self, step: Step) -> None:
        match step:
            case Make(mtu):
                assert self.link is None
                self.link = Link(IFINDEX, "wg0", "wireguard", mtu, False)
                self.device = Device("wg0", IFINDEX, NO_KEY, 0, False, ())
            case Configure(change):
                self._configure(change)
            case Addresses(gone, new):
                self._readdress(set(gone), new)
            case Routes(lead, gone, new):
                assert not lead.needs_device or self.link is not None
                assert self.routes[lead].isdisjoint(new)
                self.routes[lead] = self.routes[lead] - set(gone) | set(new)
            case SetMtu(mtu):
                assert self.link is not None
                self.link = replace(self.link, mtu=mtu)
            case SetMulticast(on):
                assert self.link is not None
                self.link = replace(self.link, multicast=on)
            case Listen(port):
                assert self.device is not None
                self.device = replace(self.device, listen_port=port)
            case Up():
                assert self.link is not None
                self.link = replace(self.link, up=True)

    def hear_from(self, endpoint: str, handshake_s: int) -> None:
        """All peers shake hands from there."""
        assert self.device is not None
        peers = (
            replace(each, endpoint=endpoint, latest_handshake_s=handshake_s)
            for each in self.device.peers
        )
        self.device = replace(self.device, peers=tuple(peers))

    def _readdress(self, gone: Set[InterfaceAddress], new: tuple[InterfaceAddress, ...]) -> None:
        assert self.link is not None
        assert gone <= set(self.link.addresses)
        assert not set(new) & set(self.link.addresses)
        kept = tuple(each for each in self.link.addresses if each not in gone)
        self.link = replace(self.link, addresses=(*kept, *new))

    def _configure(self, change: DeviceChange) -> None:
        assert self.device is not None
        if change.private_key is not None:
            assert change.private_key == self.wish.private_key
            self.device = replace(self.device, public_key=self.wish.device.public_key)
        if change.listen_port is not None:
            self.device = replace(self.device, listen_port=change.listen_port)
        peers = {each.public_key: each for each in self.device.peers}
        owners = {cidr: each.public_key for each in peers.values() for cidr in each.allowed_ips}
        for each in change.ordered:
            if each.remove:
                peers.pop(each.public_key, None)
                continue
            old = peers.get(each.public_key, Peer(each.public_key, None, (), 0, 0, 0, 0))
            peers[each.public_key] = _changed(old, each)
            for cidr in each.allowed_ips or ():
                if owners.get(cidr, each.public_key) != each.public_key:
                    self.moved.append(cidr)
        self.device = replace(self.device, peers=tuple(peers.values()))


def _changed(peer: Peer, change: PeerChange) -> Peer:
    """As WireGuard takes it: what is None stays."""
    return replace(
        peer,
        endpoint=peer.endpoint if change.endpoint is None else change.endpoint,
        allowed_ips=peer.allowed_ips if change.allowed_ips is None else change.allowed_ips,
        keepalive_s=peer.keepalive_s if change.keepalive_s is None else change.keepalive_s,
        preshared=(peer.preshared if change.preshared_key is None else seal(change.preshared_key)),
    )
