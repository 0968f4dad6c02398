# SPDX-License-Identifier: Apache-2.0
"""From what is desired and what was observed to the steps in between, in an order that is safe.

After any prefix of the steps, and so after a crash at any place, nothing passes that both the old
and the new policy deny, and a hook that had a filter has one. What is true of the steps of a plan
is true of plan after plan: the agent observes again and plans again until nothing is left to do.

Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from krait.agent.desired import Desired
from krait.agent.steps import Attach, Commit, Detach, Drop, Load, Pin, Step, Swap, Unlink
from krait.kernel.generation import Generation
from krait.kernel.hook import Hook
from krait.kernel.seat import AttachKind, Seat
from krait.policy.capacity import SMALLEST, Capacity
from krait.policy.image import EMPTY, Image, draw
from krait.policy.pairing import PortList
from krait.policy.placement import NoRoom


@dataclass(frozen=True, slots=True)
class ObservedTables:
    """The load of the object that commits go to, as far as a plan needs to know it."""

    generation: Generation
    capacity: Capacity
    held: Mapping[PortList, int] = field(repr=False)  # port lists of the slot in force
    armed: bool  # a policy is in force in them; without one every packet drops
    current: bool = True  # its programs are this version's
    committed: Desired | None = None  # by this agent; None also for what an earlier one left
    pinned: bool = True


@dataclass(frozen=True, slots=True)
class Observed:
    """What there is."""

    ifindex: int | None  # None: no interface of that name
    fresh: bool  # it appeared under this agent, and had no chance yet to carry traffic
    seats: Mapping[Hook, tuple[Seat, ...]]
    severed: frozenset[Hook]  # pinned links of an interface that was deleted
    tables: ObservedTables | None
    others: tuple[Generation, ...] = ()  # pinned too, by an agent that died or was another version
    elsewhere: frozenset[int] = frozenset()
    """Programs of ours that run on a device which had this name: it was renamed, or moved away."""
    yields: bool = False
    """Another program goes ahead again and again: stay behind it for now."""
    outdated_stays: bool = False
    """This version's programs could not be loaded: go on with another build's for now."""

    @property
    def ahead(self) -> tuple[str, ...]:
        """Who sees packets before Krait does, for people."""
        return tuple(
            f"{name} on {hook.value}"
            for hook, seats in self.seats.items()
            for seat in seats
            for name in seat.ahead
        )


def choose(
    found: tuple[Generation, ...], seats: Mapping[Hook, tuple[Seat, ...]]
) -> Generation | None:
    """Which of the pinned loads an agent that starts goes on with; None if there is none.

    Of two, an agent died while it replaced one by the other. A load is filled before any packet
    meets it, so the newest that is attached is the one to finish with, and if none of the two is,
    the one with the newest revision.
    """
    attached = {seat.program_id for each in seats.values() for seat in each}
    return max(
        (each for each in found if each.readable),
        key=lambda each: (
            not attached.isdisjoint(each.programs.values()),
            each.revision,
            each.number,
        ),
        default=None,
    )


def plan(desired: Desired | None, observed: Observed, kind: AttachKind) -> tuple[Step, ...]:
    """What to do next; nothing if all is as it should be.

    `desired` is None while it cannot be told: what is in force then stays in force.
    """
    if observed.ifindex is None:
        return tuple(_wait(observed))
    if observed.fresh:
        return tuple(_greet(observed, kind))
    return tuple(_keep(desired, observed, kind))


def _wait(observed: Observed) -> Iterator[Step]:
    """Without an interface: be armed, so that the next one meets a filter at once.

    The policy in force must not greet it: it may be another interface of the same name.
    """
    yield from _empty_tables(observed.tables)
    yield from _tidy(observed)


def _greet(observed: Observed, kind: AttachKind) -> Iterator[Step]:
    """An interface that just appeared is shut before anything else is thought of."""
    yield from _empty_tables(observed.tables)
    yield from (Attach(hook) for hook in Hook if _seat(observed, hook, kind) is None)


def _empty_tables(tables: ObservedTables | None) -> Iterator[Step]:
    if tables is None:
        yield Load(SMALLEST, go_on=False)
    elif tables.armed:
        yield Commit(EMPTY, None)


def _keep(desired: Desired | None, observed: Observed, kind: AttachKind) -> Iterator[Step]:
    """An interface that carries traffic. Until the commit its hooks judge by what was in force."""
    tables = observed.tables
    if tables is not None and tables.armed and _is_shared(tables, observed):
        yield Commit(EMPTY, None)  # the device that left is shut, and its tables stay with it
    bare: tuple[Hook, ...] = ()
    if tables is not None and _was_in_force(tables, observed):
        # It comes back first: a bare hook does not wait for a commit.
        bare = tuple(hook for hook in Hook if not observed.seats[hook])
        yield from map(Attach, bare)
    if desired is None:
        if tables is not None and _is_attached(tables.generation, observed):
            yield from _settle(tables, observed, kind, bare)
    elif tables is None or _needs_others(desired, tables, observed, kind):
        yield from _replace(desired, observed, kind, bare)
    elif desired == tables.committed:
        yield from _settle(tables, observed, kind, bare)
    elif (image := _drawn(desired, tables)) is None:
        yield from _replace(desired, observed, kind, bare)
    else:
        yield Commit(image, desired)
        yield from _settle(tables, observed, kind, bare)


def _settle(
    tables: ObservedTables, observed: Observed, kind: AttachKind, done: tuple[Hook, ...]
) -> Iterator[Step]:
    """These tables on both hooks, in the wanted way, and nothing else of ours anywhere."""
    for hook in Hook:
        seat = _seat(observed, hook, kind)
        if hook in done:
            continue
        if seat is None:
            yield Attach(hook)
        elif seat.program_id != tables.generation.programs[hook]:
            yield Swap(hook)
    yield from _take_off_others(observed, kind)
    yield from _tidy(observed)


def _replace(
    desired: Desired, observed: Observed, kind: AttachKind, attached: tuple[Hook, ...]
) -> Iterator[Step]:
    """New tables are filled before a packet meets them, and the old dropped after none does."""
    tables = observed.tables
    capacity = _grown(tables, desired.need)
    go_on = tables is not None and not _is_shared(tables, observed)
    yield Load(capacity, go_on=go_on, inherit=tables is None and bool(observed.others))
    yield Commit(draw(desired.compiled, capacity, {}), desired)
    for hook in Hook:
        seat = _seat(observed, hook, kind)
        in_place = hook in attached or (seat is not None and not _is_behind(seat))
        yield Swap(hook) if in_place else Attach(hook)
    yield from _take_off_others(observed, kind)
    yield from _tidy(replace(observed, tables=None))
    if tables is not None:
        yield Drop(tables.generation)


def _needs_others(
    desired: Desired, tables: ObservedTables, observed: Observed, kind: AttachKind
) -> bool:
    """Whether the tables in use will not do, whatever is in them.

    A program gets ahead of others by a new link only, and no program is attached twice: so new
    tables are also the way back to the head. And no two devices are judged by the same ones.
    """
    seats = (_seat(observed, hook, kind) for hook in Hook)
    if not observed.yields and any(seat and _is_behind(seat) for seat in seats):
        return True
    if not tables.current and not observed.outdated_stays:
        return True
    return _is_shared(tables, observed) or not tables.capacity.holds(desired.need)


def _drawn(desired: Desired, tables: ObservedTables) -> Image | None:
    """The policy laid out for the tables in use; None if its port lists find no room there."""
    try:
        return draw(desired.compiled, tables.capacity, tables.held)
    except NoRoom:
        return None


def _grown(tables: ObservedTables | None, need: Capacity) -> Capacity:
    if tables is None:
        return SMALLEST.grown(need)
    ports = need.ports + sum(map(len, tables.held))  # room for the old lists beside the new
    return tables.capacity.grown(replace(need, ports=ports))


def _take_off_others(observed: Observed, kind: AttachKind) -> Iterator[Detach]:
    """The other way of attaching, after the wanted one is in place."""
    for hook in Hook:
        yield from (Detach(hook, seat.kind) for seat in observed.seats[hook] if seat.kind != kind)


def _tidy(observed: Observed) -> Iterator[Step]:
    """What an interface that was deleted, a crash or another tool left behind."""
    yield from (Unlink(hook) for hook in Hook if hook in observed.severed)
    if observed.tables is not None and not observed.tables.pinned:
        yield Pin()
    yield from (Drop(each) for each in observed.others)


def _was_in_force(tables: ObservedTables, observed: Observed) -> bool:
    """Whether the tables hold what both hooks should judge by until the next commit.

    Not while other loads run; nor does an empty slot, which would cut what is allowed.
    """
    if any(observed.seats.values()):
        return _is_attached(tables.generation, observed)
    return tables.armed


def _is_shared(tables: ObservedTables, observed: Observed) -> bool:
    """Whether a device that lost the interface's name is judged by these tables too."""
    return not observed.elsewhere.isdisjoint(tables.generation.programs.values())


def _is_attached(generation: Generation, observed: Observed) -> bool:
    programs = set(generation.programs.values())
    return any(seat.program_id in programs for seats in observed.seats.values() for seat in seats)


def _seat(observed: Observed, hook: Hook, kind: AttachKind) -> Seat | None:
    return next((seat for seat in observed.seats[hook] if seat.kind is kind), None)


def _is_behind(seat: Seat) -> bool:
    return seat.kind is AttachKind.TCX and bool(seat.ahead)
