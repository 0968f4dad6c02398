# SPDX-License-Identifier: Apache-2.0
"""What counters say, once all CPUs' copies are one."""

import pytest

from krait.kernel.generation import Count, Moment

NOW = Moment(ticks=(1 << 32) + 1000, per_second=250)


@pytest.mark.parametrize(
    ("last_ticks", "age_s"),
    [
        (NOW.ticks, 0),
        (NOW.ticks - 750, 3),
        (NOW.ticks - (1 << 32), (1 << 32) / 250),  # what the low halves alone would call just now
        (NOW.ticks + 1, 0),  # another CPU's, after now was asked
    ],
)
def test_age_is_told_in_seconds(last_ticks: int, age_s: float) -> None:
    assert Count(1, 64, last_ticks).age_s(NOW) == age_s


def test_what_never_came_has_no_age() -> None:
    assert Count(0, 0).age_s(NOW) is None
