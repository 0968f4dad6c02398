# SPDX-License-Identifier: Apache-2.0
"""Whatever is marked, and whatever the frame, the guard says of it what it is to say."""

from collections import Counter

from krait.common.guard import GuardReason
from krait.kernel.guard import OBJECT
from tests.figures import Figures
from tests.kernel.property.amount import ENOUGH, PACKETS
from tests.kernel.property.guard_play import play


def test_the_guard_judges_any_frame_as_it_is_to(figures: Figures) -> None:
    reasons = Counter(play(OBJECT, PACKETS))
    figures(f"guard: {reasons.total():,} frames judged alike; {reasons[GuardReason.PASS]:,} passed")
    if PACKETS >= ENOUGH:
        assert min(reasons[each] for each in GuardReason) > PACKETS // 50, reasons
