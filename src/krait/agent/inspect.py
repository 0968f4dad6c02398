# SPDX-License-Identifier: Apache-2.0
"""What is enforced on an interface, asked of the kernel: for `krait status`, agent or no agent.

Numbers come from the pinned tables. Their names come from what was written down of the commit
whose revision the tables hold; where there is no such record, numbers are all there is.
"""

from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from errno import ENOENT

from krait.agent.adapters import Adapters, adapters
from krait.agent.desired import Named
from krait.agent.diff import choose
from krait.agent.guarded import Guarded, look, shortfall
from krait.agent.managed.orders import Standing, read_standing
from krait.agent.paths import Instance, Paths
from krait.agent.ports import Loads
from krait.agent.state import Live, Record, read_live, read_records
from krait.common.abi import FIRST_IDENTITY, Rehearsal, RejectionOutcome
from krait.common.errors import SystemRefused
from krait.common.reason import Reason
from krait.kernel import wireguard
from krait.kernel.bpf.errors import BpfRefused
from krait.kernel.claim import is_foreign
from krait.kernel.generation import NO_TIME, Count, Generation, Moment
from krait.kernel.hook import Hook
from krait.kernel.link import Link
from krait.kernel.lock import holder
from krait.kernel.seat import Seat
from krait.kernel.wireguard import Device, NotWireguard
from krait.policy.beside import visible


class Condition(StrEnum):
    """The state of an interface in a word."""

    ENFORCING = "enforcing"
    """A policy judges every packet first."""
    DEGRADED = "degraded"
    """A policy is there, but not on every packet, or not first."""
    WAITING = "waiting"
    """Nothing passes: there is no interface yet, or no policy."""
    BARE = "not enforcing"
    """Packets pass unjudged, or would if the interface came."""


@dataclass(frozen=True, slots=True)
class InspectedTables:
    """One load of the object, as it is."""

    generation: Generation
    armed: bool = False
    drops: Mapping[Reason, Count] = field(default_factory=dict)
    rules: tuple[Count, ...] = ()  # by number
    peers: tuple[Count, ...] = ()  # by number; dropped packets
    shadow_rules: tuple[Count, ...] = ()  # by number, and for each by Rehearsal
    rejections: Mapping[RejectionOutcome, Count] = field(default_factory=dict)
    now: Moment = NO_TIME  # right after the counters were read

    @property
    def revision(self) -> int:
        """What the tables say is in force; 0: nothing, or unknown to this version."""
        return self.generation.revision


@dataclass(frozen=True, slots=True)
class Inspection:
    """All that can be seen of Krait on one interface."""

    interface: str
    link: Link | None
    device: Device | None
    """None also for an interface that is not WireGuard (any more), or does not answer."""
    seats: Mapping[Hook, tuple[Seat, ...]]
    namespace: str = ""
    """What the network namespace is called, if it is."""
    elsewhere: bool = False
    """A pinned link is attached, though there is no interface of this name here."""
    tables: InspectedTables | None = None
    record: Record | None = None
    """What was written down of the revision in force."""
    pid: int | None = None
    """Of the living agent, 0 if it did not say; None if none lives."""
    live: Live | None = None
    """What the last agent, alive or dead, said of itself."""
    standing: Standing = field(default_factory=Standing)
    """What `krait up` ordered."""
    unseen: NotWireguard | None = None
    """Why nothing is known of WireGuard, where there is an interface."""
    guard: Guarded | None = None
    """None: there is none."""


@dataclass(frozen=True, slots=True)
class PeerSeen:
    """A WireGuard peer, and who it is to the policy: as far as that is known."""

    peer: wireguard.Peer
    name: str | None
    tags: tuple[str, ...]
    identity: int | None
    dropped: Count | None


def inspect(name: str, paths: Paths) -> Inspection:
    """Look at one interface. Raises SystemRefused where the kernel does not let us."""
    real = adapters(name, paths)
    link = real.eyes.link()
    seats = {hook: real.hooks.observe(link.ifindex, hook) if link else () for hook in Hook}
    device, unseen = _device(real) if link else (None, None)
    found = Inspection(name, link, device, seats, paths.namespace, unseen=unseen)
    if is_foreign(paths.pins_of(name)) and not any(seats.values()):
        return found  # a namespace without a name has the name's pins and files
    with closing(real.loads) as loads:
        tables = _tables(loads, seats)
    revision = tables.revision if tables else 0
    records = read_records(paths.state_of(name))
    return replace(
        found,
        elsewhere=link is None and bool(real.hooks.elsewhere(None, frozenset())),
        tables=tables,
        record=next((each for each in records if revision and each.revision == revision), None),
        pid=holder(paths.lock_of(name)),
        standing=_standing(name, paths),
        live=read_live(paths.live_of(name)),
        guard=look(name, real, paths),
    )


def instances(paths: Paths) -> tuple[tuple[str, ...], tuple[Instance, ...]]:
    """What has pins, or is to be made: in this network namespace, and what there is of others."""
    here, others = [], []
    for each in sorted({*paths.instances(), *paths.ordered()}):
        if each.namespace == paths.namespace and not is_foreign(paths.pins_at(each)):
            here.append(each.interface)
        else:
            others.append(each)
    return tuple(here), tuple(others)


def condition(found: Inspection) -> tuple[Condition, str]:
    """The state in a word, and why it is not the best one."""
    if found.link is None:
        return _without_interface(found)
    bare = [hook for hook in Hook if not is_attached(found, hook)]
    posing = "; another program is there under its name" if _named_only(found, bare) else ""
    if len(bare) == len(Hook):
        return Condition.BARE, f"every packet passes: Krait is not attached{posing}"
    if bare:
        where = f"nothing is judged on {bare[0].value}"
        return Condition.DEGRADED, f"{where}: Krait is not attached there{posing}"
    if found.tables is None:
        return Condition.DEGRADED, "its tables are not pinned any more: they cannot be read"
    if not found.tables.generation.readable:
        return Condition.DEGRADED, "another version of Krait made its tables: they cannot be read"
    if ahead := _ahead(found):
        return Condition.DEGRADED, f"ahead of Krait: {ahead}"
    if not found.tables.armed:
        return Condition.WAITING, "nothing passes: no policy is in force"
    alive = found.live if found.pid is not None else None
    is_wanted = found.record is not None and found.record.guard
    if why := shortfall(found.guard, alive, is_wanted=is_wanted):
        return Condition.DEGRADED, why
    return Condition.ENFORCING, ""


def is_attached(found: Inspection, hook: Hook) -> bool:
    """Whether the program of the pinned load runs there: a filter's name is anybody's to take.

    With nothing pinned there is nothing to hold a name against, and it is believed.
    """
    if found.tables is None:
        return bool(found.seats[hook])
    program_id = found.tables.generation.programs[hook]
    return any(seat.program_id == program_id for seat in found.seats[hook])


def peers(found: Inspection) -> tuple[PeerSeen, ...]:
    """The peers of the device, in its order."""
    if found.device is None:
        return ()
    return tuple(_peer(found, each) for each in found.device.peers)


def rules(found: Inspection) -> dict[str, Count]:
    """What each rule decided, by name; `default` first. Nothing where names are not known."""
    if found.tables is None or found.record is None:
        return {}
    names = ("default", *found.record.numbers.rules)
    counts = zip(names, found.tables.rules, strict=False)
    return {name: count for name, count in counts if name is not None}


def rehearsed(found: Inspection) -> dict[str, Mapping[Rehearsal, Count]]:
    """What each rule of the shadow would have done, by name; `default` first.

    Where the shadow is the document's own audit rules, only of these. Nothing without a shadow, and
    where names are not known.
    """
    if found.tables is None or found.record is None or not found.record.numbers.shadow_rules:
        return {}
    counts, record = found.tables.shadow_rules, found.record
    by_name: dict[str, Mapping[Rehearsal, Count]] = {
        name: dict(zip(Rehearsal, counts[at : at + len(Rehearsal)], strict=True))
        for name, at in zip(
            ("default", *record.numbers.shadow_rules),
            range(0, len(counts), len(Rehearsal)),
            strict=False,
        )
        if name is not None
    }
    if record.shadow:
        return by_name
    enforced = {"default", *record.numbers.rules}
    return {name: each for name, each in by_name.items() if name not in enforced}


def _without_interface(found: Inspection) -> tuple[Condition, str]:
    if found.elsewhere:
        why = "the interface was renamed, or moved to another network namespace, filter and all"
        return Condition.DEGRADED, why
    if found.pid is not None:
        return Condition.WAITING, "there is no such interface yet; nothing will pass until a commit"
    return Condition.BARE, "there is no such interface, and no agent to meet it"


def _named_only(found: Inspection, hooks: list[Hook]) -> bool:
    return any(found.seats[hook] for hook in hooks)


def _ahead(found: Inspection) -> str:
    return ", ".join(
        f"{name} on {hook.value}"
        for hook, seats in found.seats.items()
        for name in (seats[0].ahead if seats else ())
    )


def _peer(found: Inspection, peer: wireguard.Peer) -> PeerSeen:
    record, tables = found.record, found.tables
    if record is None or tables is None:
        return PeerSeen(peer, None, (), None, None)
    counts = dict(zip(record.numbers.peers, tables.peers[1:], strict=False))  # number 0 is us
    dropped, who = counts.get(peer.public_key), record.peers.get(peer.public_key)
    if who is None:
        return PeerSeen(peer, None, (), None, dropped)
    return PeerSeen(peer, who.name, who.tags, _identity(record, who), dropped)


def _identity(record: Record, who: Named) -> int | None:
    """The number of a node's identity: its own, where a rule names it, else that of its tags."""
    identities = [each and visible(each) for each in record.numbers.identities]
    for labels in (frozenset({*who.tags, who.name}), frozenset(who.tags)):
        if labels in identities:
            return FIRST_IDENTITY + identities.index(labels)
    return None


def _standing(name: str, paths: Paths) -> Standing:
    """One that cannot be understood keeps no agent alive, which says so itself."""
    with suppress(SystemRefused):
        return read_standing(name, paths)
    return Standing()


def _device(real: Adapters) -> tuple[Device | None, NotWireguard | None]:
    try:
        return real.eyes.device(), None
    except NotWireguard as error:
        return None, error


def _tables(
    loads: Loads, seats: Mapping[Hook, tuple[Seat, ...]], *, again: bool = True
) -> InspectedTables | None:
    """The load in force; one that this version cannot read is there without its contents."""
    found = loads.found()
    generation = choose(found, seats)
    if generation is None:
        return InspectedTables(found[-1]) if found else None
    try:
        tables = loads.open(generation)
    except BpfRefused as error:
        if error.errno == ENOENT and again:  # outgrown since, and taken away
            return _tables(loads, seats, again=False)
        raise
    return InspectedTables(
        generation,
        armed=tables.is_armed(),
        drops=tables.drops(),
        rules=tuple(tables.counts("rules")),
        peers=tuple(tables.counts("peers")),
        shadow_rules=tuple(tables.counts("shadow_rules")),
        rejections=dict(zip(RejectionOutcome, tables.counts("rejections"), strict=True)),
        now=tables.now(),
    )
