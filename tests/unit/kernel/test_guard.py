# SPDX-License-Identifier: Apache-2.0
"""The order in which marks change, under packets that come in between."""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from krait.common.guard import GuardMark
from krait.kernel.guard import changes
from krait.policy.model import Address, Network

MARKS = st.sampled_from((GuardMark.NOTHING, GuardMark.MESH, GuardMark.MESH | GuardMark.OWN))


@st.composite
def prefixes(draw: st.DrawFn) -> Network:
    """Of sixteen addresses: all that there are lie inside of each other, or beside."""
    length = draw(st.integers(28, 32))
    return ip_network(f"10.8.0.{draw(st.integers(0, 15))}/{length}", strict=False)


def mark_of(marks: Mapping[Network, GuardMark], address: Address) -> GuardMark:
    """Of the longest prefix that has it."""
    holding = [cidr for cidr in marks if address in cidr]
    return marks[max(holding, key=lambda each: each.prefixlen)] if holding else GuardMark.NOTHING


@given(
    st.dictionaries(prefixes(), MARKS, max_size=8), st.dictionaries(prefixes(), MARKS, max_size=8)
)
def test_each_address_has_its_old_mark_or_its_new_one_all_the_while(
    old: dict[Network, GuardMark], new: dict[Network, GuardMark]
) -> None:
    marks = dict(old)
    for cidr, mark in changes(old, new):
        if mark is None:
            del marks[cidr]
        else:
            marks[cidr] = mark
        for last in range(16):
            address = ip_address(f"10.8.0.{last}")
            assert mark_of(marks, address) in (mark_of(old, address), mark_of(new, address))
    assert marks == new


def test_what_stays_is_not_marked_again() -> None:
    marks = {ip_network("10.8.0.0/24"): GuardMark.MESH, ip_network("10.8.0.1/32"): GuardMark.OWN}
    assert list(changes(marks, dict(reversed(marks.items())))) == []
