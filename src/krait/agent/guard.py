# SPDX-License-Identifier: Apache-2.0
"""From the guard that is wanted and what there is of it to the steps in between.

Pure. A load is marked before any packet meets it; the old one goes after none does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from krait.kernel.seat import AttachKind, Posts, Seat
from krait.policy.guard import Guard


@dataclass(frozen=True, slots=True)
class Observed:
    """What there is."""

    program_id: int | None
    """Of the load that is pinned; None: there is none."""
    outdated: bool
    """There are loads of other versions."""
    marked: Guard | None
    """What this agent marked; None also for what an earlier one left."""
    posts: Posts
    devices: Mapping[int, str] = field(default_factory=dict)
    """Every interface that the guard is for, by ifindex."""


@dataclass(frozen=True, slots=True)
class Load:
    """Load the guard and mark what is wanted; nothing runs it yet."""

    guard: Guard = field(repr=False)

    def __str__(self) -> str:
        return f"load the guard of {_ranges(self.guard)}"


@dataclass(frozen=True, slots=True)
class SetMarks:
    """Hold every interface to what is wanted."""

    guard: Guard = field(repr=False)

    def __str__(self) -> str:
        return f"guard {_ranges(self.guard)}"


@dataclass(frozen=True, slots=True)
class Post:
    """Put the guard on an interface, or this load of it in the place of another."""

    ifindex: int
    name: str

    def __str__(self) -> str:
        return f"guard {self.name}"


@dataclass(frozen=True, slots=True)
class Relieve:
    """Take it off an interface, or remove the link to one that left."""

    ifindex: int
    kind: AttachKind

    def __str__(self) -> str:
        return f"take the guard off interface {self.ifindex} ({self.kind.value})"


@dataclass(frozen=True, slots=True)
class Discard:
    """Unpin loads that nothing runs: all of them, or those of other versions."""

    outdated: bool

    def __str__(self) -> str:
        return f"remove {'other versions of ' if self.outdated else ''}the guard"


Step = Load | SetMarks | Post | Relieve | Discard


def plan(wanted: Guard | None, observed: Observed, kind: AttachKind) -> tuple[Step, ...]:
    """What to do next; nothing if all is as it should be. After a load, plan again."""
    if wanted is None:
        return tuple(_withdraw(observed))
    if observed.program_id is None:
        return (Load(wanted),)
    return tuple(_keep(wanted, observed, observed.program_id, kind))


def _withdraw(observed: Observed) -> Iterator[Step]:
    for ifindex, seats in observed.posts.seats.items():
        yield from (Relieve(ifindex, seat.kind) for seat in seats)
    yield from (Relieve(ifindex, AttachKind.TCX) for ifindex in observed.posts.lost)
    if observed.program_id is not None or observed.outdated:
        yield Discard(outdated=False)


def _keep(wanted: Guard, observed: Observed, program_id: int, kind: AttachKind) -> Iterator[Step]:
    if wanted != observed.marked:
        yield SetMarks(wanted)
    yield from (Relieve(ifindex, AttachKind.TCX) for ifindex in observed.posts.lost)
    for ifindex, name in observed.devices.items():
        seats = observed.posts.seats.get(ifindex, ())
        if not _is_on(seats, program_id, kind):
            yield Post(ifindex, name)
        yield from (Relieve(ifindex, seat.kind) for seat in seats if seat.kind is not kind)
    for ifindex, seats in observed.posts.seats.items():
        if ifindex not in observed.devices:
            yield from (Relieve(ifindex, seat.kind) for seat in seats)
    if observed.outdated:
        yield Discard(outdated=True)


def _is_on(seats: tuple[Seat, ...], program_id: int, kind: AttachKind) -> bool:
    return any(seat.kind is kind and seat.program_id == program_id for seat in seats)


def _ranges(guard: Guard) -> str:
    return ", ".join(map(str, guard.mesh)) or "what is this node's"
