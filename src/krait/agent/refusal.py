# SPDX-License-Identifier: Apache-2.0
"""What the kernel would not take: why, and when it is tried again. Pure: time is an argument."""

from krait.agent.backoff import Backoff
from krait.common.errors import KraitError


class Refusal:
    """Of one thing after the other; moments are monotonic, in seconds."""

    def __init__(self) -> None:
        self._error: KraitError | None = None
        self._what: object = None
        self._backoff = Backoff()

    @property
    def error(self) -> KraitError | None:
        """Why; None: nothing is refused now."""
        return self._error

    def note(self, what: object, error: KraitError, now_s: float) -> None:
        """It was refused: try again later and, as long as it is the same, ever later."""
        if what != self._what:
            self._backoff.reset()
        self._what, self._error = what, error
        self._backoff.failed(now_s)

    def explain(self, error: KraitError) -> None:
        """Something is in its way: that is why from now on. When it is tried again stays."""
        self._error = error

    def is_of(self, what: object) -> bool:
        """Whether this is what was refused last."""
        return what == self._what

    def holds(self, now_s: float) -> bool:
        """Whether it is not to be tried yet."""
        return self._error is not None and not self._backoff.is_due(now_s)

    def lift(self) -> None:
        """Nothing is refused any more. The same thing, refused again, waits all the longer."""
        self._error = None
