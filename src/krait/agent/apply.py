# SPDX-License-Identifier: Apache-2.0
"""Doing what a plan says, and knowing what was done: the loads and hooks of one interface.

Every action is written so that a crash inside it leaves what a crash before it would have left, or
what a crash after it would have.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, assert_never

import structlog

from krait.agent import state
from krait.agent.actions import Action, Attach, Commit, Detach, Drop, Load, Pin, Swap, Unlink
from krait.agent.desired import Desired
from krait.agent.diff import Observed, choose
from krait.agent.diff import Tables as Planned
from krait.agent.ports import Filter, Loads, Tables
from krait.agent.reading_back import Drift, ReadingBack
from krait.common.abi import Rehearsal
from krait.common.errors import KraitError, SystemRefused
from krait.kernel.files import sweep, writing
from krait.kernel.generation import Generation
from krait.kernel.hook import Hook
from krait.kernel.seat import AttachKind, Seat
from krait.policy.image import Image
from krait.policy.numbering import Numbers
from krait.policy.pairing import PortList
from krait.policy.tightened import warnings_of

_NEVER_LOOKED = 0  # no interface has it

_log = structlog.get_logger()

_Who = TypeVar("_Who", str, bytes)


@dataclass(slots=True)
class _Contents:
    """What the tables in use hold, as far as this agent knows."""

    known: dict[int, Image] = field(default_factory=dict)  # by slot
    held: Mapping[PortList, int] = field(default_factory=dict)  # of the slot in force
    committed: Desired | None = None
    changes: tuple[str, ...] = ()  # what the last change of the document may have cut


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
        self.numbers = Numbers()
        """Who has which number in the tables in use."""
        self._loads, self._filter, self._path = loads, hooks, records
        self._records: state.Records = ()
        self._is_written = True
        self._generation: Generation | None = None
        self._others: tuple[Generation, ...] = ()
        self._contents = _Contents()
        self._background = ThreadPoolExecutor(1, thread_name_prefix="krait-readers")
        self._readers: Future[None] | None = None
        self._reading_back = ReadingBack()
        self._places = _Places()

    def start(self, ifindex: int | None) -> None:
        """Take over what an earlier agent left: its tables, numbers and revision."""
        with _best_effort("remove what a crash left half made"):
            self._loads.sweep()
            sweep(self._path)
        found, seats = self._loads.found(), self._seats(ifindex)
        self._records = state.read_records(self._path, _log.warning)
        self._generation = choose(found, seats)
        self._places.programs.update(*(each.programs.values() for each in found))
        self._places.were_free = not found and not any(seats.values())
        self._others = tuple(each for each in found if each != self._generation)
        tables = self._tables()
        if tables is not None and tables.is_armed():
            self._contents.held = tables.lists(tables.in_force.slot)
        revision = self.revision
        self.numbers = next(
            (each.numbers for each in self._records if each.revision == revision), Numbers()
        )

    def withdraw(self, ifindex: int | None) -> None:
        """After a start that failed: take off what it attached and loaded, if nothing was there.

        An interface that had a filter before keeps what it has now.
        """
        if not self._places.were_free:
            return
        for hook in Hook:
            with _best_effort(f"take the filter off {hook.value}"):
                self._filter.detach(ifindex, hook, self.kind)
        self._reading_back.call_off()
        for each in (*self._others, *filter(None, (self._generation,))):
            with _best_effort("remove the tables"):
                self._wait_for_readers()
                self._loads.remove(each)
        self._others, self._generation, self._contents = (), None, _Contents()

    @property
    def kind(self) -> AttachKind:
        """How it attaches."""
        return self._filter.kind

    @property
    def committed(self) -> Desired | None:
        """What this agent put in force; None: nothing, or an empty slot."""
        return self._contents.committed

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
        committed = self.committed
        return (*committed.warnings, *self._contents.changes) if committed else ()

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

    def apply(self, action: Action, ifindex: int | None) -> None:
        """Do one action. Raises KraitError; what is in force then is as it was before."""
        began_s = time.monotonic()
        facts = self._do(action, ifindex)
        took_ms = round((time.monotonic() - began_s) * 1e3, 1)
        _log.info(str(action), took_ms=took_ms, **facts)

    def read_back(self, now_s: float) -> tuple[bool, KraitError | None]:
        """Whether there is news of the tables since the last commit, and what is wrong by it.

        What is in force then counts as unknown, so that the next plan writes all of it. Long after
        a commit it is asked for again; `now_s` is monotonic.
        """
        is_news, error = self._reading_back.answer()
        if isinstance(error, Drift):
            self._contents = _Contents(held=self._contents.held)
        elif self._reading_back.is_due(now_s) and (tables := self._tables()) is not None:
            slot = tables.in_force.slot
            if (image := self._contents.known.get(slot)) is not None:
                self._reading_back.ask(tables, slot, image, now_s)
        return is_news, error

    def write_down(self) -> None:
        """Write the last commits down, if that is still to be done. Raises SystemRefused."""
        if not self._is_written:
            with writing(self._path):
                state.write_records(self._path, self._records)
            self._is_written = True

    def close(self) -> None:
        """Wait for what goes on in the background; what is in force stays."""
        self._reading_back.close()
        self._background.shutdown()
        self._filter.close()

    def _do(self, action: Action, ifindex: int | None) -> dict[str, Any]:
        match action:
            case Load():
                self._load(action)
            case Commit():
                return self._commit(action)
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
                self._wait_for_readers()
                self._reading_back.call_off()
                self._loads.remove(generation)
                self._others = tuple(each for each in self._others if each != generation)
            case _:
                assert_never(action)
        return {}

    def _load(self, action: Load) -> None:
        before = self._generation
        self._wait_for_readers()
        after = before if action.go_on else None
        if action.inherit:
            after = _newest(self._others)
        self._generation = self._loads.load(action.capacity, after)
        self._places.programs.update(self._generation.programs.values())
        self._others += (before,) if before else ()
        self._contents = _Contents()
        if before is None:
            self.numbers = Numbers()

    def _commit(self, action: Commit) -> dict[str, Any]:
        """The one store, and around it what must be true before and after.

        Before: no reader is left in the slot that is written; it is whole; it is written down. The
        wait for readers begins right after the store, so that the next one seldom has to wait.
        """
        tables, desired = self._open(), action.desired
        slot = tables.in_force.idle
        self._reading_back.call_off()  # of the slot that is written now, soon
        self._wait_for_readers()
        contents = self._contents
        known = contents.known.pop(slot, None)  # unknown until it is whole
        tables.write(slot, action.image, known=known, held=contents.held)
        record = state.record(self._next_revision(), time.time(), desired, self.numbers)
        self._write_down(record)
        tables.commit(slot, record.revision)
        stored_ns = time.monotonic_ns()
        self._readers = self._background.submit(tables.wait_for_readers)
        self._reading_back.ask(tables, slot, action.image, time.monotonic())
        former, before = self.numbers, contents.committed
        self.numbers = record.numbers
        contents.held, contents.committed = action.image.lists, desired
        facts = {"revision": record.revision, "stored_ns": stored_ns}
        if desired is not None:  # an empty one leaves most of the slot as it was
            contents.known[slot] = action.image
            # It is done. What follows must not make it look undone.
            with _best_effort("count anew under numbers that mean somebody else now"):
                _forget(tables, former, record.numbers)
            if before is not None and before.source != desired.source:
                with _best_effort("tell what the change asks of live flows"):
                    contents.changes = warnings_of(before.compiled, desired.compiled)
                for text in contents.changes:
                    _log.warning(text)
        return facts

    def _write_down(self, new: state.Record) -> None:
        """The new record, and that of what is in force now, whichever agent made it.

        A full disk costs the names of numbers after a crash; it must not hold up a revocation. See
        `write_down` for what becomes of it.
        """
        in_force = self._open().in_force.revision
        former = (each for each in self._records if each.revision == in_force)
        self._records, self._is_written = (new, *former), False
        with suppress(SystemRefused):
            self.write_down()

    def _next_revision(self) -> int:
        written = max((each.revision for each in self._records), default=0)
        others = max((each.revision for each in self._others), default=0)
        return max(self._open().in_force.revision, written, others) + 1

    def _wait_for_readers(self) -> None:
        """Return only when it is sure that none is left, whatever became of the first try."""
        if self._readers is not None:
            if self._readers.exception() is not None:
                self._open().wait_for_readers()
            self._readers = None

    def _seats(self, ifindex: int | None) -> dict[Hook, tuple[Seat, ...]]:
        if ifindex is None:
            return dict.fromkeys(Hook, ())
        return {hook: self._filter.observe(ifindex, hook) for hook in Hook}

    def _planned(self) -> Planned | None:
        tables = self._tables()
        if tables is None or self._generation is None:
            return None
        return Planned(
            generation=self._generation,
            capacity=tables.capacity,
            held=self._contents.held,
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


def _forget(tables: Tables, former: Numbers, now: Numbers) -> None:
    """A number that means somebody else now counts anew. Number 0 is never reused."""
    tables.forget("rules", _taken_over(former.rules, now.rules))
    for table in ("peers", "budgets"):
        tables.forget(table, _taken_over(former.peers, now.peers))
    tables.forget(
        "shadow_rules",
        (
            number * len(Rehearsal) + outcome
            for number in _taken_over(former.shadow_rules, now.shadow_rules)
            for outcome in Rehearsal
        ),
    )


def _taken_over(former: Sequence[_Who | None], now: Sequence[_Who | None]) -> Iterator[int]:
    before = dict(enumerate(former, start=1))
    for number, who in enumerate(now, start=1):
        if who is not None and before.get(number) != who:
            yield number


@contextmanager
def _best_effort(doing: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - what it is about is done, or undone, already
        _log.warning(f"cannot {doing}", error=str(error))


def _there(ifindex: int | None) -> int:
    if ifindex is None:
        raise KraitError("the interface is gone")
    return ifindex
