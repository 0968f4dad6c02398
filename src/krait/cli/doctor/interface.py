# SPDX-License-Identifier: Apache-2.0
"""Checks of one interface: whether it is fit for a policy, and whether its document fits it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from krait.agent.managed.orders import read_standing
from krait.agent.paths import Paths
from krait.cli import again
from krait.cli.doctor import documents
from krait.cli.doctor.finding import Answer, Checks, fail, note, ok, warn
from krait.cli.doctor.forwarding import forwarding
from krait.cli.doctor.made import made
from krait.kernel import clsact, wireguard
from krait.kernel.bpf.folder import require_private
from krait.kernel.bpf.link import tcx_query
from krait.kernel.device import is_ours
from krait.kernel.facts import observe_facts
from krait.kernel.filter import InterfaceFilter, supported_kind
from krait.kernel.hook import Hook
from krait.kernel.link import Link, NoSuchInterface, observe_link
from krait.kernel.lock import holder
from krait.kernel.seat import AttachKind
from krait.kernel.surroundings import other_links
from krait.kernel.underlay import Way, ways
from krait.kernel.wireguard import NO_KEY, Device
from krait.policy.draft import INTERNET_BITS
from krait.policy.endpoint import NotAnEndpoint, numeric
from krait.policy.model import Network
from krait.policy.prefixes import Prefixes

_MTU_BYTES, _LEAST_MTU_BYTES = 1420, 1280
"""What an outer MTU of 1500 leaves under an IPv6 header, and the least that IPv6 takes."""

_OVERHEAD_BYTES = {4: 60, 6: 80}
"""By version of the outer IP: its header, UDP's 8, WireGuard's 32."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An interface, and the others that are up (`lo` among them)."""

    link: Link
    device: Device
    others: tuple[Link, ...]
    ways: tuple[Way, ...] = ()
    """By which WireGuard's own packets leave."""

    @property
    def name(self) -> str:
        """As the kernel has it now."""
        return self.link.name


@dataclass(frozen=True, slots=True)
class Queue:
    """Who is on one hook besides Krait: in all, or ahead of it where Krait is there."""

    krait: bool
    others: tuple[str, ...]


def observe(name: str) -> Subject:
    """Raises NoSuchInterface and NotWireguard."""
    link = observe_link(name)
    if link is None:
        raise NoSuchInterface(name)
    device = wireguard.observe(name)
    return Subject(link, device, other_links(link.ifindex), _ways(device))


def checks(subject: Subject, paths: Paths) -> Checks:
    """The group's registry."""
    link, device = subject.link, subject.device
    places = documents.places(link.name, paths)
    return {
        "made": lambda: made(link, read_standing(link.name, paths)),
        "wireguard": lambda: implementation(device),
        "up": lambda: up(link),
        "mtu": lambda: mtu(link, subject.ways),
        "addresses": lambda: addresses(link),
        "allowed-ips": lambda: allowed_ips(device, link),
        "programs": lambda: programs(
            queues(subject, paths), pinned=paths.pins_of(link.name).exists()
        ),
        "document": lambda: documents.fits(device, places),
        "forwarding": lambda: forwarding(observe_facts(), device, places),
    }


def implementation(device: Device) -> Answer:
    """Whose WireGuard it is, and whether it has a key."""
    if device.public_key == NO_KEY:
        return fail(f"{device.name} has no private key", f"wg set {device.name} private-key FILE")
    if device.userspace:
        return warn(
            f"{device.name} is a WireGuard in userspace: several times slower",
            "Make it anew with the kernel's WireGuard, where the kernel has one.",
        )
    return ok(f"{device.name} is the kernel's WireGuard")


def up(link: Link) -> Answer:
    """Whether the interface is up."""
    if not link.up:
        return warn("it is down: nothing passes at all", f"ip link set {link.name} up")
    return ok("it is up")


def mtu(link: Link, ways: Sequence[Way] = ()) -> Answer:
    """Whether WireGuard's packets fit the ways to its peers, and IPv6 fits inside.

    Without ways, an underlay of 1500 bytes is assumed.
    """
    narrowest = min(ways, key=_room_bytes, default=None)
    room_bytes = _MTU_BYTES if narrowest is None else _room_bytes(narrowest)
    if link.mtu > room_bytes:
        why = (
            f"more than {room_bytes} fits only an underlay with large frames"
            if narrowest is None
            else f"of the {narrowest.mtu} of {narrowest.name}, WireGuard leaves {room_bytes} "
            f"over IPv{narrowest.version}"
        )
        return warn(
            f"{link.mtu} bytes: {why}; larger packets fragment or are lost",
            _set_mtu(link, room_bytes),
        )
    if link.mtu < _LEAST_MTU_BYTES:
        return warn(
            f"{link.mtu} bytes: IPv6 needs {_LEAST_MTU_BYTES}",
            _set_mtu(link, _MTU_BYTES),
        )
    return ok(f"{link.mtu} bytes")


def _set_mtu(link: Link, mtu: int) -> str:
    if is_ours(link):
        return f"say `mtu: {mtu}` under `mesh:` in the document, or under this node"
    return f"ip link set {link.name} mtu {mtu}"


def addresses(link: Link) -> Answer:
    """Which addresses this machine has inside the tunnel."""
    if not link.addresses:
        return warn(
            "it has no address, so nothing inside it is addressed to this machine",
            f"ip address add ADDRESS/LENGTH dev {link.name}",
        )
    return ok(", ".join(map(str, link.addresses)))


def allowed_ips(device: Device, link: Link) -> Answer:
    """Prefixes inside another peer's, and ones that take this machine's own address."""
    owners = {cidr: peer.public_key for peer in device.peers for cidr in peer.allowed_ips}
    own = {each.ip for each in link.addresses}
    taken = sorted(str(cidr) for cidr in owners if cidr.num_addresses == 1 and cidr[0] in own)
    if taken:
        return warn(
            f"{taken[0]} is this machine's and a peer's: nothing reaches that peer by it",
            f"Take it from the peer's allowed IPs: wg set {device.name} peer KEY allowed-ips …",
        )
    for inner, outer in _nested(owners):
        return warn(
            f"{inner} of one peer lies inside {outer} of another: the longer prefix decides",
            "Nothing to mend if it is meant so, as behind a hub.",
        )
    return ok(f"prefixes: {len(owners):,}, peers: {len(device.peers):,}; none inside another's")


def programs(hooks: Mapping[Hook, Queue], *, pinned: bool) -> Answer:
    """What runs where Krait does; `pinned` says that a policy was put there and never taken off."""
    if pinned and (bare := [hook.value for hook, queue in hooks.items() if not queue.krait]):
        return fail(
            f"Krait's filter is gone from {' and '.join(bare)}: nothing is judged there",
            "Start the agent, which puts it back, or say that it shall go: krait detach",
        )
    ahead = [f"{name} on {hook.value}" for hook, q in hooks.items() if q.krait for name in q.others]
    if ahead:
        return warn(
            f"ahead of Krait: {', '.join(ahead)}; it may pass or redirect packets unjudged",
            "Take it off, or start the agent, which goes back to the head where it can.",
        )
    attached = [hook.value for hook, q in hooks.items() if q.krait]
    if attached:
        return ok(f"Krait is first on {' and '.join(attached)}")
    others = [f"{name} on {hook.value}" for hook, q in hooks.items() for name in q.others]
    if others:
        return note(f"{', '.join(others)}: Krait will go ahead of it")
    return ok("none yet: Krait is not attached")


def queues(subject: Subject, paths: Paths) -> dict[Hook, Queue]:
    """Who is on the interface's hooks, asked of the kernel."""
    kind, ifindex = supported_kind(), subject.link.ifindex
    require_private(paths.pins_of(subject.name))
    krait = InterfaceFilter(paths.pins_of(subject.name), kind)

    def queue(hook: Hook) -> Queue:
        seats = krait.observe(ifindex, hook)
        if seats:
            return Queue(krait=True, others=seats[0].ahead)
        attached = tcx_query(ifindex, hook) if kind is AttachKind.TCX else ()
        filters = clsact.query(ifindex, hook)
        return Queue(krait=False, others=tuple(dict.fromkeys(map(str, (*attached, *filters)))))

    return {hook: queue(hook) for hook in Hook}


def agent(name: str, paths: Paths) -> Answer:
    """Whether an agent keeps the interface, and what it means if none does any more."""
    if (pid := holder(paths.lock_of(name))) is not None:
        return ok(f"alive, pid {pid or 'unknown'}")
    if paths.pins_of(name).exists() or paths.state_of(name).exists():
        return warn(
            "none alive: whatever is in force stays, and follows no change of peers or document",
            again.command(name, paths),
        )
    return ok("none yet: Krait was not started here")


def _ways(device: Device) -> tuple[Way, ...]:
    """What leads back into the device is for packets without its mark, and not known."""
    addresses = []
    for peer in device.peers:
        with suppress(NotAnEndpoint):
            addresses.append(numeric(peer.endpoint or "")[0])
    found = (way for way in ways(addresses) if way is not None and way.ifindex != device.ifindex)
    return tuple(dict.fromkeys(found))


def _room_bytes(way: Way) -> int:
    return way.mtu - _OVERHEAD_BYTES[way.version]


def _nested(owners: Mapping[Network, bytes]) -> Iterator[tuple[Network, Network]]:
    """Prefixes of one peer in the nearest one of another, but exits': all lies in those."""
    prefixes = Prefixes(owners)
    for cidr, owner in owners.items():
        around = next((each for each in prefixes.holding(cidr) if each != cidr), None)
        if around and around.prefixlen > INTERNET_BITS and owners[around] != owner:
            yield cidr, around
