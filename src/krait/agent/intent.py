# SPDX-License-Identifier: Apache-2.0
"""What the agent means to put in force, given the document it read and the interface it saw.

Worked out once for each of them, and held back for a while where the kernel did not take it.
"""

from functools import partial

import structlog

from krait.agent.apply import Enforcement
from krait.agent.backoff import Backoff
from krait.agent.desired import Clock, Desired, Source, desire
from krait.agent.ends import Ends
from krait.agent.lookout import Sight
from krait.agent.standing import Standing
from krait.common.errors import KraitError
from krait.policy.model import Network
from krait.policy.view import Interface

_log = structlog.get_logger()


class Intent:
    """A document that does not fit the interface leaves the one before it in its place."""

    def __init__(self, enforcement: Enforcement) -> None:
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
        self._unfit_shadow: KraitError | None = None
        self._no_tables: KraitError | None = None
        self._asked: object = None
        self._answered: object = None
        self._answer: Desired | None = None
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
        if self._rehearses and self._answer == self._enforcement.committed:
            self._no_tables = None
        if self._answer != self._failed or self._answer == self._enforcement.committed:
            self.refused = None
        if self.refused is None or self._backoff.is_due(now_s):
            return self._answer
        committed = self._enforcement.committed
        return committed and self._standing.of(committed, self._enforcement.numbers, now_s)

    @property
    def unrehearsed(self) -> KraitError | None:
        """Why the shadow is not rehearsed; the document read last is in force all the same."""
        return self._unfit_shadow or self._no_tables

    def put_off(self, desired: Desired, error: KraitError, now_s: float) -> None:
        """It could not be put in force: try again later, and ever later."""
        if desired is not self._answer:  # it is what stands in for that
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
        """With the shadow if that can be: it must not stand in the way of what is to count."""
        answer = partial(
            desire,
            source,
            interface,
            self._enforcement.numbers,
            withheld,
            before=self._answer,
            clock=self._clock(source),
        )
        if not self._rehearses:
            return answer(rehearse=False)
        self._unfit_shadow = None
        if self.shadow is not None:
            try:
                return answer(shadow=self.shadow)
            except KraitError as error:
                self._unfit_shadow = error
        return answer()
