# SPDX-License-Identifier: Apache-2.0
"""What the agent means to put in force, given the document it read and the interface it saw.

Worked out once for each of them, and held back for a while where the kernel did not take it. What
counts goes first: without a shadow, which follows once it is worked out in the background.
"""

from collections.abc import Callable
from functools import partial

import structlog

from krait.agent.apply import Enforcement
from krait.agent.backoff import Backoff
from krait.agent.desired import Clock, Desired, Source, desire
from krait.agent.ends import Ends
from krait.agent.later import Later
from krait.agent.lookout import Sight
from krait.agent.standing import Standing
from krait.common.errors import KraitError
from krait.policy.model import Network
from krait.policy.numbering import Numbers
from krait.policy.view import Interface

_log = structlog.get_logger()


class Intent:
    """A document that does not fit the interface leaves the one before it in its place."""

    def __init__(self, enforcement: Enforcement, wake: Callable[[], None]) -> None:
        """`wake` is called, from another thread, when a shadow was worked out."""
        self.source: Source | None = None
        """The document read last."""
        self.fault: KraitError | None = None
        """Why it does not fit the interface."""
        self.shadow: Source | None = None
        """The document to rehearse."""
        self.refused: KraitError | None = None
        """Why it could not be put in force; it is tried again."""
        self._enforcement = enforcement
        self._ends, self._fitting_ends = Ends(), Ends()
        self._fitting: Source | None = None
        self._rehearses, self._rehearsing = True, Backoff()
        self._background: Later[tuple[Desired, KraitError | None]] = Later(wake)
        self._unfit_shadow: KraitError | None = None
        self._no_tables: KraitError | None = None
        self._asked: object = None
        self._answered: object = None
        self._answer: Desired | None = None  # without the shadow
        self._whole: tuple[object, Desired | None] = None, None  # with it, and what was answered
        self._given: tuple[object, Desired | None] = None, None  # and what counts by it
        self._done: object = None  # what counts by what is in force
        self._warned: tuple[str, ...] = ()
        self._failed: Desired | None = None
        self._backoff, self._standing = Backoff(), Standing()

    def of(self, sight: Sight, now_s: float) -> Desired | None:
        """What should be in force; None while it cannot be told: leave what is.

        That is: no document was read yet, or WireGuard told nothing yet of the interface.
        """
        if self.source is None or sight.interface is None:
            return None
        asked = self.source, sight.interface, sight.withheld
        if (asked, self.shadow) != self._asked:
            self._asked, self._rehearses = (asked, self.shadow), True
            self._no_tables = None
            self._rehearsing.reset()
        self._rehearses = self._rehearses or self._rehearsing.is_due(now_s)
        clocks = [self._clock(each) for each in (self.source, self._fitting) if each]
        if (self._asked, clocks, self._rehearses) != self._answered:
            self._answered = self._asked, clocks, self._rehearses
            self._answer = self._work_out(*asked)
        answer = self._rehearsed((asked, clocks))
        if answer != self._failed or answer == self._enforcement.committed:
            self.refused = None
        if self.refused is None or self._backoff.is_due(now_s):
            return answer
        committed = self._enforcement.committed
        return committed and self._standing.of(committed, self._enforcement.numbers, now_s)

    @property
    def unrehearsed(self) -> KraitError | None:
        """Why the shadow is not rehearsed; the document read last is in force all the same."""
        return (self._unfit_shadow if self.shadow else None) or self._no_tables

    def put_off(self, desired: Desired, error: KraitError, now_s: float) -> None:
        """It could not be put in force: try again later, and ever later."""
        if desired is not self._given[1]:  # it is what stands in for that
            self.refused = error
            self._standing.put_off(now_s)
            return
        if desired != self._failed:
            self._backoff.reset()
        self._failed, self.refused = desired, error
        self._backoff.failed(now_s)

    def put_off_rehearsal(self, error: KraitError, now_s: float) -> None:
        """There are no tables for a shadow: put the rest in force, and try this again later."""
        self._rehearses, self._no_tables = False, error
        self._rehearsing.failed(now_s)

    def _clock(self, source: Source) -> Clock:
        return (self._ends if source is self.source else self._fitting_ends).clock(source)

    @property
    def _is_apart(self) -> bool:
        """Whether the shadow is another document's, which follows what counts."""
        return self.shadow is not None and self._rehearses

    def _rehearsed(self, counts: object) -> Desired | None:
        """The answer to give: first what `counts`, then that with its shadow.

        What is in force stays until the shadow is worked out, which may take seconds.
        """
        committed, answer = self._enforcement.committed, self._answer
        if self._given[1] is not None and self._given[1] == committed:
            self._done = self._given[0]
        if answer is not None and self.shadow is not None and self._is_apart:
            if self._done == counts:
                answer = self._with_shadow(answer, self.shadow)
        elif self._rehearses and answer == committed:
            self._no_tables = None
        self._given = counts, answer
        return answer

    def _with_shadow(self, answer: Desired, shadow: Source) -> Desired:
        committed, numbers = self._enforcement.committed, self._enforcement.numbers
        worked_out, whole = self._whole
        if whole is not None and worked_out == self._answered and committed in (None, whole):
            self._no_tables = None
            return whole
        work = partial(_rehearse, answer, shadow, self._clock(answer.source), numbers, whole)
        found = self._background.of((self._answered, numbers), work)
        if found is None:
            return committed or answer
        whole, self._unfit_shadow = found.result()
        self._whole = self._answered, whole
        self._warn(whole.warnings)
        return whole

    def _warn(self, warnings: tuple[str, ...]) -> None:
        """Tell what is new of them; `status` shows them all."""
        for each in warnings:
            if each not in self._warned:
                _log.warning(each)
        self._warned = warnings

    def _work_out(
        self, source: Source, interface: Interface, withheld: frozenset[Network]
    ) -> Desired | None:
        try:
            answer = self._desire(source, interface, withheld)
        except KraitError as error:
            self.fault = error
        else:
            self.fault, self._fitting = None, source
            self._warn(answer.warnings)
            return answer
        if self._fitting is None:
            return None
        try:  # who is who may have changed although the new document does not count
            return self._desire(self._fitting, interface, withheld)
        except KraitError:
            return None

    def _desire(
        self, source: Source, interface: Interface, withheld: frozenset[Network]
    ) -> Desired:
        """With its own audit rules, which are few; of a shadow beside it there is but room."""
        rehearse, committed = self._rehearses and self.shadow is None, self._enforcement.committed
        return desire(
            source,
            interface,
            self._enforcement.numbers,
            withheld,
            before=self._answer,
            clock=self._clock(source),
            rehearse=rehearse,
            room=not rehearse and committed is not None and committed.need.shadow_rules > 0,
        )


def _rehearse(
    answer: Desired, shadow: Source, clock: Clock, known: Numbers, before: Desired | None
) -> tuple[Desired, KraitError | None]:
    """The answer with a shadow or, with why it cannot be, with its own audit rules."""
    again = partial(
        desire,
        answer.source,
        answer.interface,
        known,
        answer.withheld,
        before=before,
        clock=clock,
    )
    try:
        return again(shadow=shadow), None
    except KraitError as error:
        return again(), error
    except Exception as error:  # noqa: BLE001 - what is rehearsed must end no round
        _log.exception("unexpected error of a shadow")
        return again(), KraitError(f"{type(error).__name__}: {error}")
