# SPDX-License-Identifier: Apache-2.0
"""What tests ask of live flows."""

from krait.lab.machine import TIMEOUT_SCALE
from krait.lab.traffic import Flow
from tests.patience import wait_until


def ticks(count: int) -> int:
    """How many to wait for; fewer where a tick takes a hundred times as long."""
    return count if TIMEOUT_SCALE == 1 else min(count, 15)


def is_silent(live: Flow, ticks: int) -> bool:
    """Whether neither direction received anything while both ends sent so many ticks."""
    before = live.report()

    def have_sent() -> bool:
        now = live.report()
        sent = now.forward.sent - before.forward.sent, now.backward.sent - before.backward.sent
        return min(sent) >= ticks

    wait_until(have_sent, live.report)
    after = live.report()
    ways = ((before.forward, after.forward), (before.backward, after.backward))
    return all(earlier.received == later.received for earlier, later in ways)
