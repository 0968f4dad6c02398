# SPDX-License-Identifier: Apache-2.0
"""From a document and an interface to what is desired, by the last document that fitted.

Worked out once for each question, and again when a rule ends.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import structlog

from krait.agent.desired import Clock, Desired, Source, desire
from krait.agent.ends import Ends
from krait.agent.rehearsing import Rehearsing
from krait.common.errors import KraitError
from krait.policy.model import Network
from krait.policy.numbering import Numbers
from krait.policy.view import Interface

_log = structlog.get_logger()


class Question(NamedTuple):
    """What is there to work with."""

    source: Source
    """The document read last."""
    interface: Interface
    withheld: frozenset[Network]
    shadow: Source | None


class Fitting:
    """A document that does not fit the interface leaves the one before it in its place."""

    def __init__(self, numbers: Callable[[], Numbers]) -> None:
        """`numbers` tells which there are: who has one keeps it."""
        self.fault: KraitError | None = None
        """Why the document read last does not fit."""
        self._numbers = numbers
        self._ends, self._fitting_ends = Ends(), Ends()
        self._fitting: Source | None = None
        self._answered: object = None
        self._answer: Desired | None = None
        self._warned: tuple[str, ...] = ()

    def answer(self, asked: Question, rehearsing: Rehearsing) -> Desired | None:
        """What is desired; None where no document ever fitted, or the last does not any more."""
        clocks = [self._clock(each, asked) for each in (asked.source, self._fitting) if each]
        answered = asked, clocks, rehearsing.is_on
        if answered != self._answered:
            self._answered = answered
            self._answer = self._work_out(asked, rehearsing)
        return self._answer

    def _work_out(self, asked: Question, rehearsing: Rehearsing) -> Desired | None:
        try:
            answer = self._by(asked.source, asked, rehearsing)
        except KraitError as error:
            self.fault = error
        else:
            self.fault, self._fitting = None, asked.source
            self._warn(answer.warnings)
            return answer
        if self._fitting is None:
            return None
        try:  # who is who may have changed although the new document does not count
            return self._by(self._fitting, asked, rehearsing)
        except KraitError:
            return None

    def _by(self, source: Source, asked: Question, rehearsing: Rehearsing) -> Desired:
        wanted = partial(
            desire,
            source,
            asked.interface,
            self._numbers(),
            asked.withheld,
            before=self._answer,
            clock=self._clock(source, asked),
        )
        return rehearsing.desire(wanted, asked.shadow)

    def _clock(self, source: Source, asked: Question) -> Clock:
        return (self._ends if source is asked.source else self._fitting_ends).clock(source)

    def _warn(self, warnings: tuple[str, ...]) -> None:
        """Tell what is new of them; `status` shows them all."""
        for each in warnings:
            if each not in self._warned:
                _log.warning(each)
        self._warned = warnings
