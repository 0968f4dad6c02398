# SPDX-License-Identifier: Apache-2.0
"""Trying again, ever more seldom. Pure: time is an argument, in monotonic seconds."""

FIRST_S, LONGEST_S = 1.0, 60.0


class Backoff:
    """A pause that doubles with each failure, and is short again after a time without any."""

    def __init__(self, longest_s: float = LONGEST_S) -> None:
        self._longest_s = longest_s
        self._pause_s, self._again_s = FIRST_S, float("-inf")

    def is_due(self, now_s: float) -> bool:
        """Whether to try now."""
        return now_s >= self._again_s

    def due_in_s(self, now_s: float) -> float:
        """When to try, in so many seconds."""
        return max(self._again_s - now_s, 0.0)

    def failed(self, now_s: float) -> None:
        """It was tried, to no avail."""
        quiet = now_s - self._again_s >= self._longest_s
        self._pause_s = FIRST_S if quiet else min(2 * self._pause_s, self._longest_s)
        self._again_s = now_s + self._pause_s

    def reset(self) -> None:
        """It is something else that is tried from now on."""
        self._pause_s, self._again_s = FIRST_S, float("-inf")
