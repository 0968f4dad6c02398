# SPDX-License-Identifier: Apache-2.0
"""What is in a mesh's way, and what only looks so."""

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from struct import pack

import pytest

from krait.kernel.netlink import attribute
from krait.kernel.route import PROTOCOL
from krait.kernel.underlay import Occupant, conflicts, decode_occupants, leads_past

MESH = (ip_network("10.8.0.0/16"), ip_network("fd7a:6b72::/64"))
WG0, ETH0 = 7, 2
STATIC, KERNEL = 4, 2


def address(text: str, ifindex: int = ETH0) -> Occupant:
    found = ip_interface(text)
    name = "wg0" if ifindex == WG0 else "eth0"
    return Occupant(found.network, name, ifindex, address=found.ip)


def route(text: str, ifindex: int = ETH0, protocol: int = STATIC) -> Occupant:
    name = {WG0: "wg0", ETH0: "eth0", 0: ""}[ifindex]
    return Occupant(ip_network(text), name, ifindex, protocol)


@pytest.mark.parametrize(
    ("occupant", "words"),
    [
        (address("10.8.3.1/24"), "eth0 has 10.8.3.1/24"),
        (address("10.1.2.3/8"), "eth0 has 10.1.2.3/8"),
        (address("10.8.0.9/32", ifindex=1), "eth0 has 10.8.0.9/32"),
        (address("fd7a:6b72::7/128"), "eth0 has fd7a:6b72::7/128"),
        (route("10.8.7.7/32"), "eth0 has a route to 10.8.7.7/32"),
        (route("10.0.0.0/8"), "eth0 has a route to 10.0.0.0/8"),
        (route("fd00::/8"), "eth0 has a route to fd00::/8"),
        (route("10.8.1.0/24", ifindex=0), "nothing has a route to 10.8.1.0/24"),
        (route("10.8.1.0/24", protocol=PROTOCOL), "eth0 has a route to 10.8.1.0/24"),
    ],
)
def test_who_has_some_of_the_range_or_more_than_it_is_named(occupant: Occupant, words: str) -> None:
    (found,) = conflicts(MESH, [occupant], ifindex=WG0)
    assert found.range == MESH[occupant.cidr.version == 6]
    assert str(found.occupant) == words


@pytest.mark.parametrize(
    "occupant",
    [
        address("10.8.0.1/16", ifindex=WG0),
        route("10.8.5.0/24", ifindex=WG0),
        route("10.8.0.0/16", ifindex=0, protocol=PROTOCOL),
        route("0.0.0.0/0"),
        route("::/0"),
        route("0.0.0.0/1"),
        route("10.0.0.0/8", ifindex=0),
        address("10.9.0.1/16"),
        address("fe80::1/64"),
        route("192.0.2.7/32"),
    ],
    ids=str,
)
def test_what_is_the_meshs_own_or_everybodys_or_beside_it_is_no_conflict(
    occupant: Occupant,
) -> None:
    assert conflicts(MESH, [occupant], ifindex=WG0) == ()


@pytest.mark.parametrize(
    "occupant",
    [address("10.8.128.1/17"), route("10.8.200.0/24"), route("10.8.128.0/17", protocol=KERNEL)],
    ids=str,
)
def test_what_the_mesh_has_behind_this_machine_is_no_conflict(occupant: Occupant) -> None:
    subnet = ip_network("10.8.128.0/17")
    assert conflicts(MESH, [occupant], ifindex=WG0) != ()
    assert conflicts(MESH, [occupant], ifindex=WG0, behind=[subnet]) == ()
    assert conflicts(MESH, [address("10.8.3.1/16")], ifindex=WG0, behind=[subnet]) != ()


def test_before_there_is_an_interface_nothing_is_its_own() -> None:
    refusal = route("10.8.1.0/24", ifindex=0)
    assert len(conflicts(MESH, [refusal, address("10.8.0.1/16", WG0)], ifindex=0)) == 2


def test_a_route_that_came_with_an_address_is_not_told_again() -> None:
    both = [address("10.8.3.1/24"), route("10.8.3.0/24", protocol=KERNEL)]
    (found,) = conflicts(MESH, both, ifindex=WG0)
    assert found.occupant is both[0]
    assert len(conflicts(MESH, [both[0], route("10.8.3.0/24")], ifindex=WG0)) == 2


HOME = ip_network("192.0.2.0/24")
"""A subnet that is routed through the tunnel, with an endpoint in it."""


def metric(text: str, metric: int, **fields: int) -> Occupant:
    return replace(route(text, **fields), metric=metric)


@pytest.mark.parametrize(
    ("occupant", "expected"),
    [
        (metric("192.0.2.0/24", 0), True),
        (metric("192.0.2.0/24", 100), False),
        (metric("192.0.2.0/24", 0, ifindex=WG0), False),
        (metric("192.0.2.0/25", 100), True),
        (metric("192.0.2.2/32", 0, ifindex=0), True),
        (metric("192.0.2.2/32", 0, ifindex=0, protocol=PROTOCOL), False),
        (metric("192.0.2.128/25", 0), False),
        (metric("192.0.0.0/16", 0), False),
        (metric("::/0", 0), False),
        (address("192.0.2.1/32"), False),
        (address("192.0.2.2/32"), False),
    ],
    ids=str,
)
def test_a_narrower_route_or_one_that_counts_more_leads_past_the_tunnel(
    occupant: Occupant, *, expected: bool
) -> None:
    sought = ip_address("192.0.2.2")
    assert leads_past(sought, HOME, [occupant], ifindex=WG0) is expected


def test_the_metric_of_a_route_is_read() -> None:
    header = pack("=8BI", 2, 24, 0, 0, 254, STATIC, 0, 1, 0)
    body = header + attribute(1, bytes((192, 0, 2, 0))) + attribute(4, pack("=I", ETH0))
    (bare,) = decode_occupants(memoryview(body), {ETH0: "eth0"})
    (found,) = decode_occupants(memoryview(body + attribute(6, pack("=I", 100))), {ETH0: "eth0"})
    assert (bare, found) == (metric("192.0.2.0/24", 0), metric("192.0.2.0/24", 100))


@pytest.mark.parametrize("packed", [bytes(4), bytes(17)], ids=len)
def test_a_route_is_to_an_address_as_long_as_its_family_says(packed: bytes) -> None:
    header = pack("=8BI", 10, 16, 0, 0, 254, STATIC, 0, 1, 0)
    body = header + attribute(1, packed) + attribute(4, pack("=I", ETH0))
    with pytest.raises(ValueError, match=f"{len(packed)} bytes"):
        decode_occupants(memoryview(body), {ETH0: "eth0"})


def test_a_route_by_an_interface_that_cannot_be_is_refused() -> None:
    header = pack("=8BI", 2, 16, 0, 0, 254, STATIC, 0, 1, 0)
    hop = pack("=HBBi", 8, 0, 0, -5)
    body = header + attribute(1, bytes((10, 8, 0, 0))) + attribute(9, hop)
    with pytest.raises(ValueError, match="interface -5"):
        decode_occupants(memoryview(body), {})
