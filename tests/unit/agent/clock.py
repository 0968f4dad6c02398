# SPDX-License-Identifier: Apache-2.0
"""The time of rounds, which passes when a test says so."""

import time
from collections.abc import Callable

_LOOKS, _PAUSE_S = 3_000, 0.02


def wait_in_standing_time(condition: Callable[[], object]) -> None:
    """As `tests.patience.wait_until`, which would wait for ever while no time passes."""
    for _ in range(_LOOKS):
        if condition():
            return
        time.sleep(_PAUSE_S)
    raise AssertionError("it does not come")


class Clock:
    now_s = 1_000.0

    def monotonic(self) -> float:
        return self.now_s
