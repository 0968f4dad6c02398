# SPDX-License-Identifier: Apache-2.0
from krait.agent.backoff import FIRST_S, LONGEST_S, Backoff


def pauses(backoff: Backoff, now_s: float, count: int) -> list[float]:
    """How long it lasts until the next try is due, each of which fails at once."""
    found = []
    for _ in range(count):
        backoff.failed(now_s)
        pause_s = next(s for s in range(1, 200) if backoff.is_due(now_s + s))
        found.append(float(pause_s))
        now_s += pause_s
    return found


def test_the_first_try_is_due_and_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff()
    assert backoff.is_due(0.0)
    assert pauses(backoff, 0.0, 8) == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, LONGEST_S, LONGEST_S]


def test_after_a_time_without_failures_the_pause_is_short_again() -> None:
    backoff = Backoff()
    assert pauses(backoff, 0.0, 3)[-1] == 4.0
    assert pauses(backoff, 7.0 + LONGEST_S - 1, 1) == [8.0]
    assert pauses(backoff, 200.0, 1) == [FIRST_S]


def test_the_longest_pause_is_the_callers() -> None:
    assert pauses(Backoff(longest_s=3.0), 0.0, 4) == [1.0, 2.0, 3.0, 3.0]


def test_something_else_is_tried_at_once() -> None:
    backoff = Backoff()
    backoff.failed(0.0)
    assert not backoff.is_due(0.5)
    backoff.reset()
    assert backoff.is_due(0.5)
