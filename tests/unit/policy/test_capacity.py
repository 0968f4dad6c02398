# SPDX-License-Identifier: Apache-2.0
"""Whether tables take a policy, and how they grow until they do."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from krait.common.abi import PairLayout
from krait.policy.capacity import SMALLEST, Capacity

SIZES = st.integers(1, 3000)
ROWS = st.builds(
    lambda columns, rows: replace(SMALLEST, columns=columns, pair=columns * rows),
    st.integers(1, 40),
    st.integers(1, 5),
)
TRIANGLES = st.builds(
    lambda columns: replace(
        SMALLEST,
        columns=columns,
        pair=columns * (columns + 1) // 2,
        layout=PairLayout.TRIANGLE,
    ),
    st.integers(1, 40),
)


def test_rows_that_are_spread_over_more_columns_need_more_entries() -> None:
    one_row = replace(SMALLEST, columns=16, pair=16)
    two_short_rows = replace(SMALLEST, columns=4, pair=8)
    assert not one_row.holds(two_short_rows)
    assert replace(one_row, pair=32).holds(two_short_rows)


@given(ROWS | TRIANGLES, ROWS | TRIANGLES)
def test_what_is_grown_holds_what_it_was_grown_for(now: Capacity, need: Capacity) -> None:
    grown = now.grown(need)
    assert grown.holds(need)
    assert grown.grown(need) == grown
