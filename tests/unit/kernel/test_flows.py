# SPDX-License-Identifier: Apache-2.0
"""Entries of the flow table: what packets make, and what they never do."""

import pytest

from krait.common.abi import FIN_OPENER, FlowState
from krait.kernel.flows import decode

NOW, HZ = 1000, 250
VALUE = (7 << 32 | 1 << 31, NOW - HZ, 3, FlowState.TCP_ESTABLISHED | FIN_OPENER, 0)


def key(family: int, high: int = 0) -> tuple[int, ...]:
    return high, 0x0A080001, high, 0x0A080002, 40000, 443, 6, family, 0


def test_an_entry_is_read_by_its_family() -> None:
    four, six = (decode(key(family), VALUE, NOW, HZ) for family in (4, 6))
    assert four is not None
    assert six is not None
    assert str(four.opener.source[0]) == "10.8.0.1"
    assert str(six.opener.source[0]) == "::a08:1"
    assert (four.state, four.marks, four.age_s) == (FlowState.TCP_ESTABLISHED, FIN_OPENER, 1.0)


@pytest.mark.parametrize("strange", [key(5), key(0), key(4, high=1)])
def test_what_no_packet_makes_is_no_flow(strange: tuple[int, ...]) -> None:
    assert decode(strange, VALUE, NOW, HZ) is None
