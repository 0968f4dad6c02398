# SPDX-License-Identifier: Apache-2.0
"""When the rules of a document end, by a clock that somebody may set.

The kernel knows the end of a rule by how far the wall clock was ahead of the time since boot when
the policy was committed. A clock that was set since then is told to it with a commit.
"""

import time
from bisect import bisect_right

from krait.agent.desired import NO_CLOCK, Clock, Source
from krait.policy import lifetime

_STEP_NS = 100_000_000
"""What is less is a clock that is slewed, or two readings one after the other."""


class Ends:
    """Of one document after the other; equal answers mean that nothing has ended since."""

    def __init__(self, boot_ns: int = NO_CLOCK.boot_ns) -> None:
        """`boot_ns` is of a clock that counts for as long as none is a step away from it."""
        self._source: Source | None = None
        self._ends: tuple[int, ...] = ()
        self._clock = Clock(NO_CLOCK.now_s, boot_ns)

    def clock(self, source: Source) -> Clock:
        """By which to work out what is desired: the moment of the last end that has passed."""
        if source is not self._source:
            self._source, self._ends = source, lifetime.ends(source.document)
        if not self._ends:
            self._clock = NO_CLOCK
            return self._clock
        now_ns = time.time_ns()
        boot_ns = now_ns - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        if abs(boot_ns - self._clock.boot_ns) < _STEP_NS:
            boot_ns = self._clock.boot_ns
        passed = bisect_right(self._ends, now_ns // 10**9)
        now_s = self._ends[passed - 1] if passed else NO_CLOCK.now_s
        self._clock = Clock(now_s, boot_ns)
        return self._clock
