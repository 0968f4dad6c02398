# SPDX-License-Identifier: Apache-2.0
"""What moved from one peer to another is found as if every prefix were looked up."""

from ipaddress import ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from krait.agent.desired import moved
from krait.policy.model import Network
from krait.policy.view import Interface, Peer

PREFIXES = tuple(map(ip_network, ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32")))
OTHERS = tuple(map(ip_network, ("0.0.0.0/0", "::/0", "fd00::/64", "fd00::1/128")))


@st.composite
def interfaces(draw: st.DrawFn) -> Interface:
    """Each prefix is some peer's or nobody's."""
    owners = {each: draw(st.integers(0, 3)) for each in PREFIXES + OTHERS}
    peers = tuple(
        Peer(bytes((number,)) * 32, tuple(cidr for cidr, who in owners.items() if who == number))
        for number in draw(st.permutations((1, 2, 3)))
        if number in owners.values() or draw(st.booleans())
    )
    return Interface(bytes(32), (), peers)


def owner(interface: Interface, cidr: Network) -> bytes | None:
    """By the longest prefix that holds it."""
    holding = [
        (each.prefixlen, peer.public_key)
        for peer in interface.peers
        for each in peer.allowed_ips
        if each.version == cidr.version and cidr.subnet_of(each)  # type: ignore[arg-type]
    ]
    return max(holding)[1] if holding else None


def exact(interface: Interface, cidr: Network) -> bytes | None:
    return next((p.public_key for p in interface.peers if cidr in p.allowed_ips), None)


@settings(max_examples=300, deadline=None)
@given(interfaces(), interfaces())
def test_it_is_what_looking_up_every_prefix_gives(before: Interface, now: Interface) -> None:
    wanted = set()
    for cidr in PREFIXES + OTHERS:
        was, became = owner(before, cidr), owner(now, cidr)
        if exact(before, cidr) != exact(now, cidr) and was and became and was != became:
            wanted.add(cidr)
    assert moved(before, now) == wanted
