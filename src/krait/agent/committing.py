# SPDX-License-Identifier: Apache-2.0
"""What the tables in use hold: brought there by commits, written down, read back.

Which tables are in use, and where programs read them, is for `apply` to say.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import structlog

from krait.agent import state
from krait.agent.desired import Desired
from krait.agent.faults import best_effort
from krait.agent.ledger import Ledger
from krait.agent.ports import Tables
from krait.agent.readers import Readers
from krait.agent.reading_back import Drift, ReadingBack
from krait.agent.steps import Commit
from krait.common.abi import Rehearsal
from krait.common.errors import KraitError
from krait.policy.image import Image
from krait.policy.numbering import Numbers
from krait.policy.pairing import PortList
from krait.policy.tightened import warnings_of

_log = structlog.get_logger()

_Who = TypeVar("_Who", str, bytes)


@dataclass(slots=True)
class _Contents:
    """What the tables in use hold, as far as this agent knows."""

    known: dict[int, Image] = field(default_factory=dict)  # by slot
    held: Mapping[PortList, int] = field(default_factory=dict)  # of the slot in force
    committed: Desired | None = None
    changes: tuple[str, ...] = ()  # what the last change of the document may have cut


class Committing:
    """The contents of one interface's tables. Calls come from one thread at a time."""

    def __init__(self, records: Path) -> None:
        """`records` is the file in which commits are written down."""
        self._numbers = Numbers()
        self._ledger = Ledger(records)
        self._contents = _Contents()
        self._readers = Readers()
        self._reading_back = ReadingBack()

    def take_over(self, tables: Tables | None) -> None:
        """Go on from what an earlier agent left in its tables and its records."""
        self._ledger.read()
        if tables is not None and tables.is_armed():
            self._contents.held = tables.lists(tables.in_force.slot)
        self._numbers = self._ledger.numbers_of(tables.in_force.revision if tables else 0)

    def begin_anew(self, *, go_on: bool) -> None:
        """Other tables are in use, or none are: nothing is known of what they hold.

        Where they go on from those before them, counters do, and who has a number keeps it.
        """
        self._contents = _Contents()
        if not go_on:
            self._numbers = Numbers()

    def sweep(self) -> None:
        """Remove what a crash left half written."""
        self._ledger.sweep()

    def write_down(self) -> None:
        """Write the last commits down, if that is still to be done. Raises SystemRefused."""
        self._ledger.write()

    @property
    def numbers(self) -> Numbers:
        """Who has which number in the tables in use."""
        return self._numbers

    @property
    def committed(self) -> Desired | None:
        """What this agent put in force; None: nothing, or an empty slot."""
        return self._contents.committed

    @property
    def held(self) -> Mapping[PortList, int]:
        """The port lists of the slot in force, with their places."""
        return self._contents.held

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the operator should know of the policy in force and of how it came there."""
        committed = self.committed
        return (*committed.warnings, *self._contents.changes) if committed else ()

    def commit(self, tables: Tables, step: Commit, revision_elsewhere: int) -> dict[str, Any]:
        """The one store, and around it what must be true before and after.

        Before: no reader is left in the slot that is written; it is whole; it is written down.
        `revision_elsewhere` is the highest of other tables, which is not to come again.
        """
        desired, slot = step.desired, tables.in_force.idle
        self.call_off()  # of the slot that is written now, soon
        self.wait_for_readers()
        contents = self._contents
        known = contents.known.pop(slot, None)  # unknown until it is whole
        tables.write(slot, step.image, known=known, held=contents.held)
        in_force = tables.in_force.revision
        revision = max(in_force, self._ledger.last_revision, revision_elsewhere) + 1
        record = state.record(revision, time.time(), desired, self._numbers)
        self._ledger.enter(record, in_force)
        tables.commit(slot, revision)
        stored_ns = time.monotonic_ns()
        self._readers.begin(tables)
        self._reading_back.ask(tables, slot, step.image, time.monotonic())
        former, before = self._numbers, contents.committed
        self._numbers = record.numbers
        contents.held, contents.committed = step.image.lists, desired
        facts = {"revision": revision, "stored_ns": stored_ns}
        if desired is not None:  # an empty one leaves most of the slot as it was
            contents.known[slot] = step.image
            # It is done. What follows must not make it look undone.
            with best_effort("count anew under numbers that mean somebody else now"):
                _forget(tables, former, record.numbers)
            if before is not None and before.source != desired.source:
                with best_effort("tell what the change asks of live flows"):
                    contents.changes = warnings_of(before.compiled, desired.compiled)
                for text in contents.changes:
                    _log.warning(text)
        return facts

    def read_back(self, tables: Tables | None, now_s: float) -> tuple[bool, KraitError | None]:
        """Whether there is news of the tables since the last commit, and what is wrong by it.

        What is in force then counts as unknown, so that the next plan writes all of it. Long after
        a commit it is asked for again; `now_s` is monotonic.
        """
        is_news, error = self._reading_back.answer()
        if isinstance(error, Drift):
            self._contents = _Contents(held=self._contents.held)
        elif self._reading_back.is_due(now_s) and tables is not None:
            slot = tables.in_force.slot
            if (image := self._contents.known.get(slot)) is not None:
                self._reading_back.ask(tables, slot, image, now_s)
        return is_news, error

    def wait_for_readers(self) -> None:
        """Return once no packet is judged by what was in force before the last commit."""
        self._readers.wait()

    def call_off(self) -> None:
        """Return once the tables are not being read back; they may go then."""
        self._reading_back.call_off()

    def close(self) -> None:
        """Wait for what goes on in the background."""
        self._reading_back.close()
        self._readers.close()


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
