# SPDX-License-Identifier: Apache-2.0
"""The longest prefix that holds another, against a search of all of them."""

from ipaddress import IPv4Network, IPv6Network, ip_network

from hypothesis import given
from hypothesis import strategies as st

from krait.policy.model import Network
from krait.policy.prefixes import Prefixes

# The first and the last few bits differ, so that prefixes of any length lie in each other.
_FIRST, _LAST = st.integers(0, 3), st.integers(0, 7)


def _v4(first: int, last: int, length: int) -> Network:
    return IPv4Network((first << 30 | last, length), strict=False)


def _v6(first: int, last: int, length: int) -> Network:
    return IPv6Network((first << 126 | last, length), strict=False)


def _lengths(bits: int) -> st.SearchStrategy[int]:
    return st.one_of(st.integers(0, 3), st.integers(bits - 4, bits), st.integers(0, bits))


NETWORKS = st.one_of(
    st.builds(_v4, _FIRST, _LAST, _lengths(32)), st.builds(_v6, _FIRST, _LAST, _lengths(128))
)


def holds(around: Network, cidr: Network) -> bool:
    if around.version != cidr.version:
        return False
    ends = cidr.network_address, cidr.broadcast_address
    return all(each in around for each in ends)


@given(st.dictionaries(NETWORKS, st.one_of(st.none(), st.integers())), NETWORKS)
def test_the_longest_prefix_that_holds_another_is_found(
    said: dict[Network, int | None], cidr: Network
) -> None:
    slow = sorted((each for each in said if holds(each, cidr)), key=lambda each: -each.prefixlen)
    prefixes = Prefixes(said)
    assert list(prefixes.holding(cidr)) == slow
    assert prefixes.of(cidr) == (said[slow[0]] if slow else None)


def test_a_prefix_that_is_nobodys_hides_the_shorter_ones_around_it() -> None:
    prefixes = Prefixes({ip_network("10.0.0.0/8"): "hub", ip_network("10.1.0.0/16"): None})
    assert prefixes.of(ip_network("10.1.2.3")) is None
    assert prefixes.of(ip_network("10.2.0.0/15")) == "hub"


def test_of_a_prefix_that_is_only_partly_held_nothing_is_said() -> None:
    prefixes = Prefixes({ip_network("10.1.0.0/16"): "hub", ip_network("::/0"): "exit"})
    assert prefixes.of(ip_network("10.0.0.0/8")) is None
