# SPDX-License-Identifier: Apache-2.0
"""Whether a shadow is worked out beside the document that counts, and why not.

It must not stand in the way of what is to count: where it does not fit the interface, or there are
no tables for it, the rest is put in force without.
"""

from typing import Protocol

from krait.agent.desired import Desired, Source
from krait.agent.refusal import Refusal
from krait.common.errors import KraitError


class Desire(Protocol):
    """`krait.agent.desired.desire`, but for the shadow."""

    def __call__(self, *, shadow: Source | None = None, rehearse: bool = True) -> Desired: ...


class Rehearsing:
    """Moments are monotonic, in seconds."""

    def __init__(self) -> None:
        self.is_on = True
        """Whether there is a rehearsal: of a shadow, or of the document's own audit rules."""
        self._asked: object = None
        self._unfit: KraitError | None = None
        self._no_tables = Refusal()

    @property
    def fault(self) -> KraitError | None:
        """Why the shadow is not rehearsed."""
        return self._unfit or self._no_tables.error

    def turn_to(self, asked: object, now_s: float) -> None:
        """What is asked for now: if it is something else than before, all is tried anew."""
        if asked != self._asked:
            self._asked, self._no_tables = asked, Refusal()
        self.is_on = not self._no_tables.holds(now_s)

    def desire(self, desire: Desire, shadow: Source | None) -> Desired:
        """What `desire` says, with the shadow if that can be. Raises as `desire` without one."""
        if not self.is_on:
            return desire(rehearse=False)
        self._unfit = None
        if shadow is not None:
            try:
                return desire(shadow=shadow)
            except KraitError as error:
                self._unfit = error
        return desire()

    def put_off(self, error: KraitError, now_s: float) -> None:
        """There are no tables for it: to be tried again later."""
        self._no_tables.note(self._asked, error, now_s)

    def came_into_force(self) -> None:
        """What is asked for is in force."""
        if self.is_on:
            self._no_tables.lift()
