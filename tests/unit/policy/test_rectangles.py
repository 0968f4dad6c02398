# SPDX-License-Identifier: Apache-2.0
"""Pairs as rectangles: all of them, nothing else, and few."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from krait.policy.rectangles import rectangles, unordered

PAIRS = st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=20)


@given(PAIRS)
def test_rectangles_hold_each_pair_once_and_nothing_else(pairs: set[tuple[int, int]]) -> None:
    held = [pair for some, others in rectangles(pairs) for pair in product(some, others)]
    assert len(held) == len(set(held))
    assert set(held) == pairs


@given(PAIRS)
def test_unordered_pairs_are_held_either_way_round(pairs: set[tuple[int, int]]) -> None:
    held = {frozenset(pair) for some, others in unordered(pairs) for pair in product(some, others)}
    assert held == {frozenset(pair) for pair in pairs}


def test_each_with_each_is_one_rectangle_and_so_is_a_column() -> None:
    assert rectangles(product((1, 2), (3, 4))) == [((1, 2), (3, 4))]
    ragged = {*product((1, 2), (3,)), (1, 4), (2, 5)}
    assert len(rectangles(ragged)) == 2, "by rows"
    columns = {*product((1, 2), (3, 4)), *product((1, 5), (6, 7))}
    assert sorted(rectangles(columns)) == [((1, 2), (3, 4)), ((1, 5), (6, 7))]
    assert unordered(product((1, 2), (3, 4))) == [((1, 2), (3, 4))]
    assert unordered([(1, 1), (1, 2), (2, 2)]) == [((1, 2), (1, 2))]
