# SPDX-License-Identifier: Apache-2.0
from krait.agent.backoff import FIRST_S
from krait.agent.refusal import Refusal
from krait.common.errors import KraitError

NO = KraitError("no room")


def held(refusal: Refusal, since_s: float) -> int:
    """For how many of the shortest pauses it is not to be tried."""
    return sum(refusal.holds(since_s + step * FIRST_S) for step in range(100))


def test_what_is_refused_again_waits_longer_also_after_it_was_lifted() -> None:
    refusal = Refusal()
    assert held(refusal, 0.0) == 0
    refusal.note("a", NO, 0.0)
    assert refusal.error is NO
    assert held(refusal, 0.0) == 1
    refusal.lift()
    refusal.note("a", NO, FIRST_S)
    assert held(refusal, FIRST_S) == 2


def test_something_else_waits_as_if_nothing_had_been_refused() -> None:
    refusal = Refusal()
    for second in range(3):
        refusal.note("a", NO, second * FIRST_S)
    refusal.note("b", NO, 3 * FIRST_S)
    assert held(refusal, 3 * FIRST_S) == 1
    assert refusal.is_of("b")
    assert not refusal.is_of("a")


def test_what_is_lifted_is_tried_at_once() -> None:
    refusal = Refusal()
    refusal.note("a", NO, 0.0)
    refusal.lift()
    assert refusal.error is None
    assert not refusal.holds(0.0)


def test_another_reason_changes_neither_what_is_refused_nor_when_it_is_tried_again() -> None:
    refusal = Refusal()
    for second in range(2):
        refusal.note("a", NO, second * FIRST_S)
    other = KraitError("nor what stands in for it")
    refusal.explain(other)
    assert refusal.error is other
    assert refusal.is_of("a")
    assert held(refusal, FIRST_S) == 2
