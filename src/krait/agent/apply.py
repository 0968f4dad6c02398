# SPDX-License-Identifier: Apache-2.0
"""Doing what a plan says, and knowing what was done: the loads and hooks of one interface.

Every step is written so that a crash inside it leaves what a crash before it would have left, or
what a crash after it would have. How that is so of a commit, `committing` says.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, assert_never

import structlog

from krait.agent.committing import Committing
from krait.agent.desired import Desired
from krait.agent.diff import Observed, ObservedTables, choose
from krait.agent.faults import best_effort
from krait.agent.ports import Filter, Loads, Tables
from krait.agent.steps import Attach, Commit, Detach, Drop, Load, Pin, Step, Swap, Unlink
from krait.common.errors import KraitError
from krait.kernel.generation import Generation
from krait.kernel.hook import Hook
from krait.kernel.seat import AttachKind, Seat
from krait.policy.numbering import Numbers

_NEVER_LOOKED = 0  # no interface has it

_log = structlog.get_logger()


@dataclass(slots=True)
class _Places:
    """On which devices our programs are."""

    programs: set[int] = field(default_factory=set)  # all that were ours since the start
    were_free: bool = False  # there was nothing of Krait at the start
    ifindex: int | None = _NEVER_LOOKED
    elsewhere: frozenset[int] = frozenset()


class Enforcement:
    """What is loaded and attached for one interface. Calls come from one thread at a time."""

    def __init__(self, loads: Loads, hooks: Filter, records: Path) -> None:
        """`records` is the file in which commits are written down."""
        self._loads, self._filter = loads, hooks
        self._committing = Committing(records)
        self._generation: Generation | None = None
        self._others: tuple[Generation, ...] = ()
        self._replaced: Generation | None = None  # by tables that nothing was committed to yet
        self._places = _Places()

    def start(self, ifindex: int | None) -> None:
        """Take over what an earlier agent left: its tables, numbers and revision."""
        with best_effort("remove what a crash left half made"):
            self._loads.sweep()
            self._committing.sweep()
        found, seats = self._loads.found(), self._seats(ifindex)
        self._generation = choose(found, seats)
        self._places.programs.update(*(each.programs.values() for each in found))
        self._places.were_free = not found and not any(seats.values())
        self._others = tuple(each for each in found if each != self._generation)
        self._committing.take_over(self._tables())

    def withdraw(self, ifindex: int | None) -> None:
        """After a start that failed: take off what it attached and loaded, if nothing was there.

        An interface that had a filter before keeps what it has now.
        """
        if not self._places.were_free:
            return
        for hook in Hook:
            with best_effort(f"take the filter off {hook.value}"):
                self._filter.detach(ifindex, hook, self.kind)
        self._committing.call_off()
        for each in (*self._others, *filter(None, (self._generation,))):
            with best_effort("remove the tables"):
                self._committing.wait_for_readers()
                self._loads.remove(each)
        self._others, self._generation = (), None
        self._committing.begin_anew(go_on=False)

    @property
    def kind(self) -> AttachKind:
        """How it attaches."""
        return self._filter.kind

    @property
    def committed(self) -> Desired | None:
        """What this agent put in force; None: nothing, or an empty slot."""
        return self._committing.committed

    @property
    def numbers(self) -> Numbers:
        """Who has which number in the tables in use."""
        return self._committing.numbers

    @property
    def revision(self) -> int:
        """The one in force; 0: none."""
        tables = self._tables()
        return tables.in_force.revision if tables else 0

    def is_enforcing(self, ifindex: int | None) -> bool:
        """Whether a policy is in force on both hooks."""
        tables = self._tables()
        if tables is None or self._generation is None or not tables.is_armed():
            return False
        ours = self._generation.programs
        seats = self._seats(ifindex)
        return all(any(s.program_id == ours[hook] for s in seats[hook]) for hook in Hook)

    def covers(self, ifindex: int | None) -> bool:
        """Whether a program of ours is on both hooks, whatever it judges by."""
        return all(self._seats(ifindex).values())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the operator should know of the policy in force and of how it came there."""
        return self._committing.warnings

    def observe(self, ifindex: int | None, *, fresh: bool, yields: bool = False) -> Observed:
        """What a plan needs to know; `yields` is what the caller made up its mind to."""
        places = self._places
        # A device that leaves takes its index along. To look takes longer the more devices there
        # are; one that just appeared is shut first.
        if not fresh and (ifindex != places.ifindex or places.elsewhere):
            places.elsewhere = self._filter.elsewhere(ifindex, places.programs)
            places.ifindex = ifindex
        return Observed(
            ifindex=ifindex,
            fresh=fresh,
            seats=self._seats(ifindex),
            severed=frozenset(hook for hook in Hook if self._filter.severed(hook)),
            tables=self._planned(),
            others=self._others,
            elsewhere=places.elsewhere,
            yields=yields,
        )

    def apply(self, step: Step, ifindex: int | None) -> None:
        """Do one step. Raises KraitError; what is in force then is as it was before."""
        began_s = time.monotonic()
        try:
            facts = self._do(step, ifindex)
        except Exception:
            if isinstance(step, Commit):
                self._go_back()
            raise
        took_ms = round((time.monotonic() - began_s) * 1e3, 1)
        _log.info(str(step), took_ms=took_ms, **facts)

    def read_back(self, now_s: float) -> tuple[bool, KraitError | None]:
        """Whether there is news of the tables since the last commit, and what is wrong by it.

        What is wrong the next plan writes anew. `now_s` is monotonic.
        """
        return self._committing.read_back(self._tables(), now_s)

    def write_down(self) -> None:
        """Write the last commits down, if that is still to be done. Raises SystemRefused."""
        self._committing.write_down()

    def close(self) -> None:
        """Wait for what goes on in the background; what is in force stays."""
        self._committing.close()
        self._filter.close()

    def _do(self, step: Step, ifindex: int | None) -> dict[str, Any]:
        match step:
            case Load():
                self._load(step)
            case Commit():
                elsewhere = max((each.revision for each in self._others), default=0)
                facts = self._committing.commit(self._open(), step, elsewhere)
                self._replaced = None
                return facts
            case Attach(hook):
                self._filter.attach(_there(ifindex), hook, self._program_fd(hook))
            case Swap(hook):
                self._filter.swap(_there(ifindex), hook, self._program_fd(hook))
            case Detach(hook, kind):
                self._filter.detach(ifindex, hook, kind)
            case Unlink(hook):
                self._filter.unlink_severed(hook)
            case Pin():
                if not self._loads.is_pinned(self._in_use()):
                    self._loads.pin(self._in_use())
                self._filter.pin()
            case Drop(generation):
                self._committing.wait_for_readers()
                self._committing.call_off()
                self._loads.remove(generation)
                self._others = tuple(each for each in self._others if each != generation)
            case _:
                assert_never(step)
        return {}

    def _load(self, step: Load) -> None:
        before = self._generation
        self._committing.wait_for_readers()
        after = before if step.go_on else None
        if step.inherit:
            after = _newest(self._others)
        self._generation = self._loads.load(step.capacity, after)
        self._places.programs.update(self._generation.programs.values())
        self._others += (before,) if before else ()
        self._committing.begin_anew(go_on=before is not None)
        self._replaced = before

    def _go_back(self) -> None:
        """The first commit to new tables failed: those before them are attached and stay in use."""
        if (before := self._replaced) is None or (new := self._generation) is None:
            return
        self._committing.go_back()
        self._generation, self._replaced = before, None
        self._others = tuple(each for each in self._others if each != before)
        with best_effort("remove the tables that took no policy"):
            self._loads.remove(new)

    def _seats(self, ifindex: int | None) -> dict[Hook, tuple[Seat, ...]]:
        if ifindex is None:
            return dict.fromkeys(Hook, ())
        return {hook: self._filter.observe(ifindex, hook) for hook in Hook}

    def _planned(self) -> ObservedTables | None:
        tables = self._tables()
        if tables is None or self._generation is None:
            return None
        return ObservedTables(
            generation=self._generation,
            capacity=tables.capacity,
            held=self._committing.held,
            armed=tables.is_armed(),
            current=self._loads.is_current(self._generation),
            committed=self.committed,
            pinned=self._loads.is_pinned(self._generation) and self._filter.is_pinned(),
        )

    def _tables(self) -> Tables | None:
        return self._loads.open(self._generation) if self._generation else None

    def _open(self) -> Tables:
        return self._loads.open(self._in_use())

    def _in_use(self) -> Generation:
        if self._generation is None:
            raise KraitError("there are no tables yet")
        return self._generation

    def _program_fd(self, hook: Hook) -> int:
        return self._open().programs[hook].fd


def _newest(generations: Sequence[Generation]) -> Generation | None:
    """Of those that another version left: whose flows to go on with, if that can be."""
    return max(generations, key=lambda each: (each.revision, each.number), default=None)


def _there(ifindex: int | None) -> int:
    if ifindex is None:
        raise KraitError("the interface is gone")
    return ifindex
