# SPDX-License-Identifier: Apache-2.0
"""What the agent means to put in force, given the document it read and the interface it saw.

Held back for a while where the kernel did not take it.
"""

from krait.agent.apply import Enforcement
from krait.agent.desired import Desired, Source
from krait.agent.fitting import Fitting, Question
from krait.agent.lookout import Sight
from krait.agent.refusal import Refusal
from krait.agent.rehearsing import Rehearsing
from krait.common.errors import KraitError


class Intent:
    """What is desired by the document, or what is in force while the kernel refuses that."""

    def __init__(self, enforcement: Enforcement) -> None:
        self.source: Source | None = None
        """The document read last."""
        self.shadow: Source | None = None
        """The document to rehearse."""
        self._enforcement = enforcement
        self._fitting = Fitting(lambda: enforcement.numbers)
        self._rehearsing = Rehearsing()
        self._refusal = Refusal()

    @property
    def fault(self) -> KraitError | None:
        """Why the document read last does not fit the interface."""
        return self._fitting.fault

    @property
    def unrehearsed(self) -> KraitError | None:
        """Why the shadow is not rehearsed; the document read last is in force all the same."""
        return self._rehearsing.fault

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
        asked = Question(self.source, sight.interface, sight.withheld, self.shadow)
        self._rehearsing.turn_to(asked, now_s)
        answer = self._fitting.answer(asked, self._rehearsing)
        committed = self._enforcement.committed
        is_committed = answer == committed
        if is_committed:
            self._rehearsing.came_into_force()
        if is_committed or not self._refusal.is_of(answer):
            self._refusal.lift()
        return committed if self._refusal.holds(now_s) else answer

    def put_off(self, desired: Desired, error: KraitError, now_s: float) -> None:
        """It could not be put in force: try again later, and ever later."""
        self._refusal.note(desired, error, now_s)

    def put_off_rehearsal(self, error: KraitError, now_s: float) -> None:
        """There are no tables for a shadow: put the rest in force, and try this again later."""
        self._rehearsing.put_off(error, now_s)
