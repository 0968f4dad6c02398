# SPDX-License-Identifier: Apache-2.0
"""Checks of one interface: whether it is fit for a policy, and whether its document fits it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from krait.agent import source
from krait.agent.paths import Paths
from krait.agent.state import read_records
from krait.cli import again
from krait.cli.doctor.finding import Answer, Checks, fail, note, ok, refusal, warn
from krait.common.errors import UsageError
from krait.kernel import clsact, wireguard
from krait.kernel.bpf.folder import require_private
from krait.kernel.bpf.link import tcx_query
from krait.kernel.facts import Facts, observe_facts
from krait.kernel.filter import AttachKind, InterfaceFilter, supported_kind
from krait.kernel.hook import Hook
from krait.kernel.link import Link, NoSuchInterface, observe_link
from krait.kernel.lock import holder
from krait.kernel.surroundings import other_links
from krait.kernel.wireguard import NO_KEY, Device
from krait.policy.draft import INTERNET_BITS
from krait.policy.model import Network
from krait.policy.problems import DocumentError
from krait.policy.view import own_node

_MTU_BYTES, _LEAST_MTU_BYTES = 1420, 1280
"""What an outer MTU of 1500 leaves under an IPv6 header, and the least that IPv6 takes."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An interface, and the others that are up (`lo` among them)."""

    link: Link
    device: Device
    others: tuple[Link, ...]

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
    return Subject(link, wireguard.observe(name), other_links(link.ifindex))


def checks(subject: Subject, paths: Paths) -> Checks:
    """The group's registry."""
    link, device = subject.link, subject.device
    places = documents(link.name, paths)
    return {
        "wireguard": lambda: implementation(device),
        "up": lambda: up(link),
        "mtu": lambda: mtu(link),
        "addresses": lambda: addresses(link),
        "allowed-ips": lambda: allowed_ips(device, link),
        "programs": lambda: programs(
            queues(subject, paths), pinned=paths.pins_of(link.name).exists()
        ),
        "document": lambda: document(device, places),
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


def mtu(link: Link) -> Answer:
    """Whether WireGuard's packets fit an underlay of 1500 bytes, and IPv6 fits inside."""
    if link.mtu > _MTU_BYTES:
        return warn(
            f"{link.mtu} bytes: more than {_MTU_BYTES} fits only an underlay with large frames; "
            "elsewhere WireGuard's packets fragment or are lost",
            f"ip link set {link.name} mtu {_MTU_BYTES}",
        )
    if link.mtu < _LEAST_MTU_BYTES:
        return warn(
            f"{link.mtu} bytes: IPv6 needs {_LEAST_MTU_BYTES}",
            f"ip link set {link.name} mtu {_MTU_BYTES}",
        )
    return ok(f"{link.mtu} bytes")


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
        names = [f"program {each.program_id}" for each in attached]
        names += map(str, filters)
        return Queue(krait=False, others=tuple(dict.fromkeys(names)))

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


def document(device: Device, places: Sequence[Path]) -> Answer:
    """Whether the first document there is right, and names this machine by its key."""
    found = _first(places)
    if found is None:
        return note("none where the agent looks", _first_document(device.name, places[0]))
    try:
        written = source.read(found, device.name).document
    except DocumentError as error:
        return replace(refusal(error), hint=f"krait check {found}")
    return ok(f"{found}: this machine is {own_node(written, device.public_key).name}")


def forwarding(facts: Facts, device: Device, places: Sequence[Path]) -> Answer:
    """A machine that forwards, and a document that does not say `transit`."""
    on = [name for name, is_on in _families(facts).items() if is_on]
    if not on:
        return ok("off: this machine passes nothing on between others")
    words, found = f"{' and '.join(on)} forwarding is on", _first(places)
    if found is None:
        return note(f"{words}; `krait init` will say `transit: true`")
    try:
        node = own_node(source.read(found, device.name).document, device.public_key)
    except UsageError:
        return note(words)  # what is wrong is the answer of `document`
    if node.transit:
        return ok(f"{words}, and {node.name} is a hub")
    return warn(
        f"{words}, but {node.name} is no hub: what passes from peer to peer is dropped",
        f"Say `transit: true` under {node.name} if it is meant to be one.",
    )


def documents(name: str, paths: Paths) -> tuple[Path, ...]:
    """Where the document is: the one last committed, else where an agent would look."""
    last = (Path(each.source) for each in read_records(paths.state_of(name)) if each.source)
    return *last, *paths.configs_of(name)


def _families(facts: Facts) -> Mapping[str, bool | None]:
    return {"IPv4": facts.forwarding4, "IPv6": facts.forwarding6}


def _first(places: Sequence[Path]) -> Path | None:
    return next((place for place in places if place.exists()), None)


def _first_document(name: str, place: Path) -> str:
    folder = () if place.parent.exists() else (f"mkdir -p {place.parent}",)
    return "\n".join((*folder, f"krait init {name} >{place}"))


def _nested(owners: Mapping[Network, bytes]) -> Iterator[tuple[Network, Network]]:
    """Prefixes of one peer in the nearest one of another, but exits': all lies in those."""
    for cidr, owner in owners.items():
        for length in range(cidr.prefixlen - 1, INTERNET_BITS, -1):
            around = cidr.supernet(new_prefix=length)
            if around in owners:
                if owners[around] != owner:
                    yield cidr, around
                break
