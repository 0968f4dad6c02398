# SPDX-License-Identifier: Apache-2.0
"""From a document and an interface to what is desired, by the last document that fitted.

Worked out once for each question, and again when a rule ends. Without a shadow: see `rehearsing`.
"""

from typing import NamedTuple

from krait.agent.apply import Enforcement
from krait.agent.backoff import Backoff
from krait.agent.desired import Clock, Desired, Source, desire
from krait.agent.ends import Ends
from krait.agent.faults import worded
from krait.agent.subject import Subject
from krait.common.errors import KraitError
from krait.policy.model import Network
from krait.policy.shadow import shadow_of
from krait.policy.view import Interface


class Question(NamedTuple):
    """What is there to work with."""

    source: Source
    """The document read last."""
    interface: Interface
    withheld: frozenset[Network]


class Fitting:
    """A document that does not fit the interface leaves the one before it in its place."""

    def __init__(self, enforcement: Enforcement) -> None:
        """Who has a number in `enforcement` keeps it."""
        self.fault: KraitError | None = None
        """Why the document read last does not fit."""
        self.unrehearsed: KraitError | None = None
        """Why its own audit rules, which were to be rehearsed, are not."""
        self.basis: object = None
        """What the answer stands on; equal ones mean that nothing else is asked, and no rule
        ended since.
        """
        self._enforcement = enforcement
        self._ends, self._fitting_ends = Ends(), Ends()
        self._source: Source | None = None
        self._fitting: Source | None = None
        self._answered: object = None
        self._again: Backoff | None = None  # of what went wrong as nobody expected
        self._answer: Desired | None = None

    def answer(self, asked: Question, now_s: float, *, rehearse: bool) -> Desired | None:
        """What is desired; None where no document ever fitted, or the last does not any more.

        `rehearse` its own audit rules, which are few; else there is but room for a shadow's.
        `now_s` is monotonic.
        """
        self._source = asked.source
        clocks = [self.clock(each) for each in (asked.source, self._fitting) if each]
        self.basis = asked, clocks
        if (self.basis, rehearse) != self._answered:
            self._again = None
        elif self._again is None or not self._again.is_due(now_s):
            return self._answer
        self._answered = self.basis, rehearse
        self.unrehearsed = None
        self._answer = self._work_out(asked, now_s, rehearse=rehearse)
        return self._answer

    def clock(self, source: Source) -> Clock:
        """The clock by which a document is worked out: the one read last, or the one that fits."""
        return (self._ends if source is self._source else self._fitting_ends).clock(source)

    def _work_out(self, asked: Question, now_s: float, *, rehearse: bool) -> Desired | None:
        try:
            answer = self._by(asked.source, asked, rehearse=rehearse)
        except Exception as error:  # noqa: BLE001 - told, and tried again if nobody expected it
            self.fault = worded(error, Subject.POLICY)
            if not isinstance(error, KraitError):
                self._again = self._again or Backoff()
                self._again.failed(now_s)
        else:
            self.fault, self._fitting, self._again = None, asked.source, None
            return answer
        if self._fitting is None:
            return None
        try:  # who is who may have changed although the new document does not count
            return self._by(self._fitting, asked, rehearse=rehearse)
        except Exception:  # noqa: BLE001 - what is in force stays; why, the fault says
            return None

    def _by(self, source: Source, asked: Question, *, rehearse: bool) -> Desired:
        """Without its audit rules, if it is they that cannot be rehearsed."""
        try:
            return self._desire(source, asked, rehearse=rehearse)
        except Exception as error:
            if not (rehearse and shadow_of(source.document.policy)):
                raise
            answer = self._desire(source, asked, rehearse=False)
            self.unrehearsed = worded(error, Subject.SHADOW)
            return answer

    def _desire(self, source: Source, asked: Question, *, rehearse: bool) -> Desired:
        committed = self._enforcement.committed
        return desire(
            source,
            asked.interface,
            self._enforcement.numbers,
            asked.withheld,
            before=self._answer,
            clock=self.clock(source),
            rehearse=rehearse,
            room=not rehearse and committed is not None and committed.need.shadow_rules > 0,
        )
