# SPDX-License-Identifier: Apache-2.0
"""From the device that is wanted, and the one that is there, to the steps between, in three stages.

    SHRINK  the device exists; whatever it should not have is taken from it
    GROW    peers, prefixes and addresses that it lacks
    RAISE   it goes up, on its port, and routes lead to it

The filter is brought up to date after each stage, and nothing grows or goes up before it is on. A
prefix that moves from one peer to another is nobody's between SHRINK and GROW, and the policy says
so in between: no packet of the new owner is ever taken for the old one's.

Pure. A step's text is the account of the change that a person reads in the log.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from krait.agent.managed.ports import Lead
from krait.common.words import changes, plural
from krait.kernel.link import Link
from krait.kernel.wireguard import NO_KEY, Device, Peer
from krait.kernel.wireguard.configure import DeviceChange, PeerChange
from krait.policy.device import WantedDevice, WantedPeer
from krait.policy.model import Network
from krait.policy.view import InterfaceAddress


class Stage(Enum):
    """In this order."""

    SHRINK = "shrink"
    GROW = "grow"
    RAISE = "raise"


@dataclass(frozen=True, slots=True)
class Wish:
    """The device that the document wants, with what the document only names."""

    device: WantedDevice
    private_key: bytes = field(repr=False)  # 32 bytes
    preshared_keys: Mapping[bytes, bytes] = field(repr=False)  # by public key; 32 bytes each
    endpoints: Mapping[bytes, str]  # by public key, as `Peer.endpoint`: those that are known
    called: frozenset[bytes] = frozenset()  # peers whose endpoint the document changed
    mtu: int = 1420

    def routes(self, lead: Lead) -> frozenset[Network]:
        """Those that should be.

        What is behind nodes is told apart from the host's own networks by the length of the prefix
        and the metric, as everywhere; the mesh's own ranges go before whatever the host has, but
        for what is behind this node inside of one.
        """
        device = self.device
        match lead:
            case Lead.THROUGH:
                return frozenset(device.routes)
            case Lead.REFUSAL:
                return frozenset(device.unreachable)
            case Lead.OWN_REFUSAL:
                return frozenset(device.preferred)
            case Lead.OWN_THROW:
                return frozenset(device.thrown)
            case Lead.RULE:
                return frozenset(device.mesh)
            case Lead.OWN_THROUGH:
                own = (each for each in device.mesh if any(a in each for a in device.addresses))
                return frozenset(device.preferred).intersection(device.routes).union(own)


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is; `link` is ours or None, and then so is the rest."""

    link: Link | None
    device: Device | None
    routes: Mapping[Lead, frozenset[Network]]  # of ours
    lost: frozenset[bytes] = frozenset()  # public keys of peers whose session is dead


@dataclass(frozen=True, slots=True)
class Make:
    """Make the device, down, with a mark that says whose it is."""

    mtu: int

    def __str__(self) -> str:
        return f"make the device, mtu {self.mtu}"


@dataclass(frozen=True, slots=True)
class Configure:
    """Tell WireGuard; one step, so that peers change together."""

    change: DeviceChange = field(repr=False)

    def __str__(self) -> str:
        gone, port = sum(each.remove for each in self.change.peers), self.change.listen_port
        new = len(self.change.peers) - gone
        parts = (
            "set the private key" if self.change.private_key is not None else "",
            f"listen on port {port}" if port is not None else "",
            f"remove {plural(gone, 'peer')}" if gone else "",
            f"set {plural(new, 'peer')}" if new else "",
        )
        return ", ".join(filter(None, parts))


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses to take away and to add."""

    gone: tuple[InterfaceAddress, ...] = ()
    new: tuple[InterfaceAddress, ...] = ()

    def __str__(self) -> str:
        return changes("address", self.gone, self.new)


@dataclass(frozen=True, slots=True)
class Routes:
    """Routes of ours, or rules, to take away and to add."""

    lead: Lead
    gone: tuple[Network, ...] = ()
    new: tuple[Network, ...] = ()

    def __str__(self) -> str:
        return changes(self.lead.value, self.gone, self.new)


@dataclass(frozen=True, slots=True)
class SetMtu:
    """Give the device another MTU."""

    mtu: int

    def __str__(self) -> str:
        return f"set mtu {self.mtu}"


@dataclass(frozen=True, slots=True)
class SetMulticast:
    """Have the device say that it can do multicast, or not; some routing daemons ask."""

    on: bool

    def __str__(self) -> str:
        return f"set multicast {'on' if self.on else 'off'}"


@dataclass(frozen=True, slots=True)
class Listen:
    """Take another UDP port: a step of its own, for others may have it, and nothing waits."""

    port: int

    def __str__(self) -> str:
        return f"listen on port {self.port}"


@dataclass(frozen=True, slots=True)
class Up:
    """Let it carry traffic."""

    def __str__(self) -> str:
        return "up"


Step = Make | Configure | Addresses | Routes | SetMtu | SetMulticast | Listen | Up


def plan(stage: Stage, wish: Wish, seen: Seen) -> tuple[Step, ...]:
    """What to do to reach a stage; nothing if it is reached."""
    steps = {Stage.SHRINK: _shrink, Stage.GROW: _grow, Stage.RAISE: _raise}
    return tuple(steps[stage](wish, seen))


def _shrink(wish: Wish, seen: Seen) -> Iterator[Step]:
    yield from _fence(wish, seen)
    if seen.link is None:
        yield Make(wish.mtu)
        yield Configure(DeviceChange(wish.private_key, wish.device.listen_port))
        return
    yield from _less_routes(wish, seen, Lead.THROUGH, Lead.OWN_THROUGH)
    wanted = {peer.public_key: peer for peer in wish.device.peers}
    peers = () if seen.device is None else seen.device.peers
    less = tuple(change for peer in peers if (change := _less(peer, wanted.get(peer.public_key))))
    has_key = seen.device is not None and seen.device.public_key == wish.device.public_key
    if less or not has_key:
        yield Configure(DeviceChange(None if has_key else wish.private_key, peers=less))
    gone = tuple(each for each in _chosen(seen.link) if each not in wish.device.addresses)
    if gone:
        yield Addresses(gone=gone)


def _fence(wish: Wish, seen: Seen) -> Iterator[Step]:
    """Where the mesh is, nothing leaves by another way, whether there is a device or not."""
    is_up = seen.link is not None and seen.link.up
    yield from _more_routes(wish, seen, Lead.REFUSAL, Lead.OWN_REFUSAL, Lead.OWN_THROW)
    if not is_up:  # else only once our table leads through it: it carries traffic
        yield from _more_routes(wish, seen, Lead.RULE)
    yield from _less_routes(wish, seen, Lead.RULE, Lead.OWN_THROW, Lead.OWN_REFUSAL, Lead.REFUSAL)


def _more_routes(wish: Wish, seen: Seen, *leads: Lead) -> Iterator[Step]:
    for each in leads:
        if missing := wish.routes(each) - seen.routes[each]:
            yield Routes(each, new=_sorted(missing))


def _less_routes(wish: Wish, seen: Seen, *leads: Lead) -> Iterator[Step]:
    for each in leads:
        if unwanted := seen.routes[each] - wish.routes(each):
            yield Routes(each, gone=_sorted(unwanted))


def _grow(wish: Wish, seen: Seen) -> Iterator[Step]:
    if seen.link is None or seen.device is None:
        return
    there = {peer.public_key: peer for peer in seen.device.peers}
    more = tuple(
        change
        for peer in wish.device.peers
        if (change := _more(peer, there.get(peer.public_key), wish, seen))
    )
    if more:
        yield Configure(DeviceChange(peers=more))
    new = tuple(each for each in wish.device.addresses if each not in seen.link.addresses)
    if new:
        yield Addresses(new=new)


def _raise(wish: Wish, seen: Seen) -> Iterator[Step]:
    if seen.link is None or seen.device is None:
        return
    if seen.link.mtu != wish.mtu:
        yield SetMtu(wish.mtu)
    if seen.link.multicast != wish.device.multicast:
        yield SetMulticast(wish.device.multicast)
    port = wish.device.listen_port
    if port is not None and port != seen.device.listen_port:
        yield Listen(port)
    if not seen.link.up:
        yield Up()
    yield from _more_routes(wish, seen, Lead.THROUGH, Lead.OWN_THROUGH, Lead.RULE)


def _less(peer: Peer, wanted: WantedPeer | None) -> PeerChange | None:
    """What a peer has and should not have; None: nothing."""
    if wanted is None:
        return PeerChange(peer.public_key, remove=True)
    keeps = set(wanted.allowed_ips)
    kept = tuple(each for each in peer.allowed_ips if each in keeps)
    less = PeerChange(peer.public_key, allowed_ips=kept)
    return None if len(kept) == len(peer.allowed_ips) else less


def _more(wanted: WantedPeer, peer: Peer | None, wish: Wish, seen: Seen) -> PeerChange | None:
    """What a peer lacks; None: nothing. `peer` is None where there is none yet."""
    key = wanted.public_key
    endpoint = wish.endpoints.get(key)
    if peer is None:
        return PeerChange(
            key,
            preshared_key=wish.preshared_keys.get(key),
            endpoint=endpoint,
            keepalive_s=wanted.keepalive_s,
            allowed_ips=wanted.allowed_ips,
        )
    # A peer may roam: where its session lives, it is where it was heard last.
    is_lost = peer.endpoint is None or key in seen.lost
    moves = endpoint is not None and endpoint != peer.endpoint and (is_lost or key in wish.called)
    preshared = wish.preshared_keys.get(key, NO_KEY)
    change = PeerChange(
        key,
        preshared_key=None if peer.has_preshared(preshared) else preshared,
        endpoint=endpoint if moves else None,
        keepalive_s=None if peer.keepalive_s == wanted.keepalive_s else wanted.keepalive_s,
        allowed_ips=(
            None if set(peer.allowed_ips) == set(wanted.allowed_ips) else wanted.allowed_ips
        ),
    )
    return None if change == PeerChange(key) else change


def _chosen(link: Link) -> tuple[InterfaceAddress, ...]:
    """The addresses that are sure to be somebody's choice: the kernel gives link-local ones."""
    return tuple(each for each in link.addresses if not each.is_link_local)


def _sorted(networks: set[Network] | frozenset[Network]) -> tuple[Network, ...]:
    return tuple(sorted(networks, key=lambda each: (each.version, each)))
