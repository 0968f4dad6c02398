# SPDX-License-Identifier: Apache-2.0
"""Working out a shadow beside the document that counts, in the background, and why it cannot be.

It must not stand in the way of what is to count: where it does not fit the interface, or there are
no tables for it, the rest is in force without. Whatever is wrong with it, nothing is raised here.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from krait.agent.desired import Clock, Desired, Source, desire
from krait.agent.faults import worded
from krait.agent.later import Later
from krait.agent.refusal import Refusal
from krait.agent.subject import Subject
from krait.common.errors import KraitError
from krait.policy.numbering import Numbers


class Score(NamedTuple):
    """What a rehearsal goes by."""

    counts: Desired
    """What is to be in force without the shadow."""
    shadow: Source
    clock: Clock
    known: Numbers


class Rehearsing:
    """Calls come from one thread at a time; moments are monotonic, in seconds."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """`wake` is called, from another thread, when a shadow was worked out."""
        self.is_on = True
        """Whether there is a rehearsal: of a shadow, or of the document's own audit rules."""
        self._asked: object = None
        self._unfit: KraitError | None = None
        self._no_tables = Refusal()
        self._background: Later[tuple[Desired, KraitError | None]] = Later(wake)
        self._whole: tuple[object, Desired | None] = None, None  # and what it was asked by

    @property
    def unfit(self) -> KraitError | None:
        """Why the last shadow does not fit the interface."""
        return self._unfit

    @property
    def no_tables(self) -> KraitError | None:
        """Why there are no tables for a rehearsal."""
        return self._no_tables.error

    def turn_to(self, asked: object, now_s: float) -> None:
        """What is asked for now: if it is something else than before, all is tried anew."""
        if asked != self._asked:
            self._asked, self._no_tables = asked, Refusal()
        self.is_on = not self._no_tables.holds(now_s)

    def of(self, score: Score, key: object, committed: Desired | None) -> Desired:
        """What counts with its shadow; what is in force stays until that is worked out.

        `key` is the same for as long as the answer can be.
        """
        worked_out, whole = self._whole
        if whole is not None and worked_out == key and committed in (None, whole):
            self._no_tables.lift()
            return whole
        try:
            found = self._background.of((key, score.known), partial(_rehearse, score, whole))
        except RuntimeError as no_thread:
            found, self._unfit = None, worded(no_thread, Subject.SHADOW)
        if found is None:
            return committed or score.counts
        if (error := found.exception()) is None:
            whole, self._unfit = found.result()
        else:
            whole, self._unfit = score.counts, worded(error, Subject.SHADOW)
        self._whole = key, whole
        return whole

    def put_off(self, error: KraitError, now_s: float) -> None:
        """There are no tables for it: to be tried again later."""
        self._no_tables.note(self._asked, error, now_s)

    def came_into_force(self) -> None:
        """What is asked for is in force."""
        if self.is_on:
            self._no_tables.lift()


def _rehearse(score: Score, before: Desired | None) -> tuple[Desired, KraitError | None]:
    """What counts with the shadow or, with why that cannot be, with its own audit rules.

    Alone, if these cannot be rehearsed either.
    """
    counts = score.counts
    again = partial(
        desire,
        counts.source,
        counts.interface,
        score.known,
        counts.withheld,
        before=before,
        clock=score.clock,
    )
    try:
        return again(shadow=score.shadow), None
    except Exception as error:  # noqa: BLE001 - what is rehearsed must end no round
        unfit = worded(error, Subject.SHADOW)
    try:
        return again(), unfit
    except Exception:  # noqa: BLE001 - the shadow's fault is the one to mend first
        return counts, unfit
