# SPDX-License-Identifier: Apache-2.0
"""The kernel as far as the agent's steps change it, in memory: loads, hooks, who runs where."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from krait.agent.desired import Desired, Source, desire
from krait.agent.diff import Observed, ObservedTables, choose
from krait.agent.steps import Attach, Commit, Detach, Drop, Load, Pin, Step, Swap, Unlink
from krait.common.abi import ABI_VERSION
from krait.kernel.generation import Generation
from krait.kernel.hook import Hook
from krait.kernel.seat import AttachKind, Seat
from krait.policy.capacity import SMALLEST, Capacity
from krait.policy.numbering import Numbers
from krait.policy.pairing import PortList
from tests.unit.policy.bench import AUDIT_RULE, INTERFACE, document

NEW, EMPTY = "new", "empty"
"""What a load holds; other words stand for policies of earlier agents."""


_ONE_ROW = (
    ("    routes: [{cidr: 10.30.0.0/24, tags: [lan]}, 10.31.0.0/24]\n", ""),
    ("to: lan", "to: db"),
    (f"    {AUDIT_RULE}\n", ""),
)


def desired(*changes: tuple[str, str]) -> Desired:
    """A policy that the smallest tables hold."""
    source = Source(document(*_ONE_ROW, *changes), "test.yaml", str(changes))
    return desire(source, INTERFACE, Numbers())


DESIRED = desired()


def generation(number: int, *, revision: int = 0, readable: bool = True) -> Generation:
    programs = {Hook.INGRESS: 10 * number + 1, Hook.EGRESS: 10 * number + 2}
    return Generation(ABI_VERSION - (not readable), number, programs, revision)


@dataclass
class Loaded:
    """One load of the object."""

    generation: Generation
    content: str
    capacity: Capacity = SMALLEST
    held: dict[PortList, int] = field(default_factory=dict)
    pinned: bool = True
    committed: Desired | None = None


@dataclass
class World:
    """One interface and what an agent made of it."""

    kind: AttachKind
    ifindex: int | None
    fresh: bool
    loads: dict[int, Loaded]
    seats: dict[Hook, list[Seat]]
    severed: set[Hook] = field(default_factory=set)
    current: int | None = None
    gone: list[Loaded] = field(default_factory=list)
    """Those whose programs run on a device that lost the name, pinned or not."""

    def start(self) -> None:
        """An agent begins: it knows only what it finds."""
        found = tuple(each.generation for each in self.loads.values() if each.pinned)
        chosen = choose(found, {hook: tuple(self.seats[hook]) for hook in Hook})
        self.current = chosen.number if chosen else None
        self.fresh = False
        for each in self.loads.values():
            each.committed = None

    def observe(self) -> Observed:
        others = tuple(
            each.generation
            for number, each in self.loads.items()
            if number != self.current and each.pinned
        )
        return Observed(
            ifindex=self.ifindex,
            fresh=self.fresh,
            seats={hook: tuple(self.seats[hook]) for hook in Hook},
            severed=frozenset(self.severed),
            tables=self._tables(),
            others=others,
            elsewhere=frozenset(
                program for each in self.gone for program in each.generation.programs.values()
            ),
        )

    def apply(self, step: Step) -> None:
        """Raises AssertionError where the kernel would refuse."""
        match step:
            case Load(capacity):
                self.current = max(self.loads, default=0) + 1
                self.loads[self.current] = Loaded(generation(self.current), EMPTY, capacity)
            case Commit(image, wanted):
                load = self.loaded
                load.content, load.committed = NEW if wanted else EMPTY, wanted
                load.held = dict(image.lists)
                revision = max(each.generation.revision for each in self.loads.values()) + 1
                load.generation = replace(load.generation, revision=revision)
            case Attach(hook):
                self._attach(hook)
            case Swap(hook):
                seats = self.seats[hook]
                (place,) = (i for i, seat in enumerate(seats) if seat.kind is self.kind)
                seats[place] = replace(seats[place], program_id=self._program(hook))
            case Detach(hook, kind):
                self.seats[hook] = [seat for seat in self.seats[hook] if seat.kind is not kind]
            case Unlink(hook):
                self.severed.discard(hook)
            case Pin():
                self.loaded.pinned = True
            case Drop(dropped):
                assert not set(dropped.programs.values()) & set(self.programs()), "still runs"
                del self.loads[dropped.number]

    def content(self, hook: Hook) -> frozenset[str] | None:
        """Whose verdicts a packet needs on a hook; None if it needs nobody's."""
        contents = {
            load.content
            for seat in self.seats[hook]
            for load in self.loads.values()
            if load.generation.programs[hook] == seat.program_id
        }
        return frozenset(contents) or None

    def programs(self) -> Iterator[int]:
        for hook in Hook:
            yield from (seat.program_id for seat in self.seats[hook])

    @property
    def loaded(self) -> Loaded:
        assert self.current is not None, "there are no tables"
        return self.loads[self.current]

    def _attach(self, hook: Hook) -> None:
        mine, program = self.seats[hook], self._program(hook)
        same = [seat for seat in mine if seat.kind is self.kind]
        assert not (self.kind is AttachKind.CLSACT and same), "the place is taken"
        assert not any(seat.program_id == program for seat in same), "EEXIST: attached already"
        seat = Seat(self.kind, program)
        self.seats[hook] = [seat, *(seat for seat in mine if seat.kind is not self.kind)]
        if self.kind is AttachKind.TCX:
            self.severed.discard(hook)

    def _program(self, hook: Hook) -> int:
        return self.loaded.generation.programs[hook]

    def _tables(self) -> ObservedTables | None:
        if self.current is None:
            return None
        load = self.loaded
        return ObservedTables(
            load.generation,
            load.capacity,
            load.held,
            armed=load.content != EMPTY,
            committed=load.committed,
            pinned=load.pinned,
        )
