# SPDX-License-Identifier: Apache-2.0
"""What the agent means to put in force, given the document it read and the interface it saw.

What counts goes first: without a shadow, which follows once it is worked out. What the kernel did
not take is held back for a while.
"""

from collections.abc import Callable

import structlog

from krait.agent.apply import Enforcement
from krait.agent.desired import Desired, Source
from krait.agent.faults import worded
from krait.agent.fitting import Fitting, Question
from krait.agent.incumbent import Incumbent
from krait.agent.lookout import Sight
from krait.agent.refusal import Refusal
from krait.agent.rehearsing import Rehearsing, Score
from krait.agent.subject import Subject
from krait.common.errors import KraitError

_log = structlog.get_logger()


class Intent:
    """What is desired by the document, or what is in force while the kernel refuses that."""

    def __init__(self, enforcement: Enforcement, wake: Callable[[], None]) -> None:
        """`wake` is called, from another thread, when a shadow was worked out."""
        self.source: Source | None = None
        """The document read last."""
        self.shadow: Source | None = None
        """The document to rehearse."""
        self._enforcement = enforcement
        self._fitting, self._rehearsing = Fitting(enforcement), Rehearsing(wake)
        self._refusal, self._incumbent = Refusal(), Incumbent()
        self._given: tuple[object, Desired | None] = None, None  # and what counts by it
        self._done: object = None  # what counts by what is in force
        self._warned: tuple[str, ...] = ()

    @property
    def fault(self) -> KraitError | None:
        """Why the document read last does not fit the interface."""
        return self._fitting.fault

    @property
    def unrehearsed(self) -> KraitError | None:
        """Why the shadow is not rehearsed; the document read last is in force all the same."""
        unfit = self._rehearsing.unfit if self.shadow else self._fitting.unrehearsed
        return unfit or self._rehearsing.no_tables

    @property
    def refused(self) -> KraitError | None:
        """Why what is desired could not be put in force; it is tried again."""
        return self._refusal.error

    def of(self, sight: Sight, now_s: float) -> Desired | None:
        """What should be in force; None while it cannot be told: leave what is.

        That is: no document was read yet, or WireGuard told nothing yet of the interface.
        """
        if self.source is None or sight.interface is None:
            return None
        asked = Question(self.source, sight.interface, sight.withheld)
        self._rehearsing.turn_to((asked, self.shadow), now_s)
        own_audit_rules = self._rehearsing.is_on and self.shadow is None
        counts = self._fitting.answer(asked, now_s, rehearse=own_audit_rules)
        answer, committed = self._rehearsed(counts), self._enforcement.committed
        self._warn(answer)
        if not self._refusal.is_of(answer) or answer == committed:
            self._refusal.lift()
        if not self._refusal.holds(now_s):
            return answer
        return committed and self._incumbent.of(committed, self._enforcement.numbers, asked, now_s)

    def put_off(
        self, desired: Desired | None, error: Exception, now_s: float, *, lacks_tables: bool = False
    ) -> None:
        """It could not be put in force: try again later, and ever later.

        What stands in for it until then is what `of` gives from now on: the same without its
        rehearsal, or what is in force as it has to be by now. Raises the `error` if nobody
        expected it and no rehearsal can be why.
        """
        rehearses = desired is not None and bool(desired.compiled.shadow)
        is_expected = isinstance(error, KraitError)
        if desired is None or not (rehearses or is_expected):
            raise error
        refused = worded(error, Subject.SHADOW)
        if desired is not self._given[1]:  # it is what stands in for that
            self._refusal.explain(refused)
            self._incumbent.put_off(now_s)
        elif desired.shadow or (rehearses and (lacks_tables or not is_expected)):
            self._rehearsing.put_off(refused, now_s)
        else:
            self._refusal.note(desired, refused, now_s)

    def _rehearsed(self, answer: Desired | None) -> Desired | None:
        """What to give: first what counts, then that with its shadow."""
        committed, basis = self._enforcement.committed, self._fitting.basis
        given_on, given = self._given
        if given is not None and given == committed:
            self._done = given_on
        if answer is not None and self.shadow is not None and self._rehearsing.is_on:
            if self._done == basis:
                clock, known = self._fitting.clock(answer.source), self._enforcement.numbers
                score = Score(answer, self.shadow, clock, known)
                answer = self._rehearsing.of(score, (basis, self.shadow), committed)
        elif answer == committed:
            self._rehearsing.came_into_force()
        self._given = basis, answer
        return answer

    def _warn(self, answer: Desired | None) -> None:
        """Tell what is new of its warnings; `status` shows them all."""
        if answer is not None:
            for each in answer.warnings:
                if each not in self._warned:
                    _log.warning(each)
            self._warned = answer.warnings
