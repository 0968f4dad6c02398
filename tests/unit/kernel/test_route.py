# SPDX-License-Identifier: Apache-2.0
"""Routes and rules that no kernel tells of."""

from ipaddress import ip_network
from struct import pack

import pytest

from krait.kernel import route, rule
from krait.kernel.netlink import attribute
from krait.kernel.route import PROTOCOL, Table, through, thrown
from krait.kernel.rule import PRIORITY

UNICAST, BLACKHOLE, LOCAL, THROW, TO_TABLE = 1, 6, 2, 9, 1
OWN = attribute(15, pack("=I", Table.OWN))
OURS = attribute(21, bytes([PROTOCOL]))
FIRST = attribute(6, pack("=I", PRIORITY))


def a_route(*parts: bytes, length: int = 24, kind: int = UNICAST) -> memoryview:
    header = pack("=BBBBBBBBI", 2, length, 0, 0, 0, PROTOCOL, 0, kind, 0)
    return memoryview(header + b"".join(parts))


def a_rule(address: bytes, *, family: int = 2, length: int = 24) -> memoryview:
    header = pack("=BBBBBBBBI", family, length, 0, 0, 0, 0, 0, TO_TABLE, 0)
    return memoryview(header + attribute(1, address) + FIRST + OWN + OURS)


TO, DEVICE, METRIC = (
    attribute(kind, packed)
    for kind, packed in ((1, bytes((10, 8, 0, 0))), (4, pack("=I", 7)), (6, pack("=I", 1)))
)


def test_a_route_of_ours_is_read_in_the_table_that_it_is_in() -> None:
    body = a_route(OWN, TO, DEVICE, METRIC)
    assert route.decode(body, Table.OWN) == through(ip_network("10.8.0.0/24"), 7, Table.OWN)
    assert route.decode(body, Table.MAIN) is None


def test_a_route_of_a_type_that_we_do_not_make_is_not_ours() -> None:
    """An IPv4 blackhole has no device, an IPv6 one has lo: neither leads through a device."""
    assert route.decode(a_route(OWN, TO, METRIC, kind=BLACKHOLE), Table.OWN) is None
    assert route.decode(a_route(OWN, TO, DEVICE, METRIC, kind=BLACKHOLE), Table.OWN) is None
    assert route.decode(a_route(OWN, TO, DEVICE, METRIC, kind=LOCAL), Table.OWN) is None


def test_a_thrown_route_is_ours_in_our_table_alone() -> None:
    """An IPv6 one has lo."""
    wanted = thrown(ip_network("10.8.0.0/24"), "wg0")
    metric = attribute(6, pack("=I", wanted.metric))
    assert route.decode(a_route(OWN, TO, metric, kind=THROW), Table.OWN) == wanted
    assert route.decode(a_route(OWN, TO, DEVICE, metric, kind=THROW), Table.OWN) == wanted
    main = attribute(15, pack("=I", Table.MAIN))
    assert route.decode(a_route(main, TO, metric, kind=THROW), Table.MAIN) is None


@pytest.mark.parametrize(
    "body",
    [
        a_route(OWN, TO, METRIC),
        a_route(OWN, TO, attribute(4, bytes(3))),
        a_route(OWN, TO, DEVICE, length=33),
        a_route(OWN, attribute(1, bytes(16)), DEVICE),
        a_route(OWN, TO, DEVICE)[:11],
    ],
)
def test_a_route_that_cannot_be_is_refused(body: memoryview) -> None:
    with pytest.raises(ValueError, match=r"lacks a part|4|netmask|not permitted"):
        route.decode(body, Table.OWN)


def test_a_rule_of_ours_is_read() -> None:
    assert rule.decode(a_rule(bytes((10, 8, 0, 0)))) == ip_network("10.8.0.0/24")


@pytest.mark.parametrize(
    ("at", "changed"),
    [(2, 32), (3, 0x10), (7, 6), (8, 0x02)],
    ids=["from somewhere", "of a TOS", "unreachable", "inverted"],
)
def test_a_rule_for_less_or_other_than_a_range_is_not_ours(at: int, changed: int) -> None:
    body = bytearray(a_rule(bytes((10, 8, 0, 0))))
    body[at] = changed
    assert rule.decode(memoryview(body)) is None


@pytest.mark.parametrize("place", [b"", attribute(6, pack("=I", 32767))])
def test_a_rule_in_another_place_of_the_order_is_not_ours(place: bytes) -> None:
    """It may come after the main table, so that ours is still to be made."""
    body = bytes(a_rule(bytes((10, 8, 0, 0)))).replace(FIRST, place)
    assert rule.decode(memoryview(body)) is None


def test_a_rule_with_more_behind_its_prefix_is_not_ours() -> None:
    assert rule.decode(a_rule(bytes((10, 8, 0, 1)))) is None


@pytest.mark.parametrize(
    "body",
    [
        a_rule(bytes(16)),
        a_rule(bytes(4), family=10),
        a_rule(bytes(4), family=3),
        a_rule(bytes(4), length=33),
        a_rule(bytes(4))[:11],
    ],
)
def test_a_rule_that_cannot_be_is_refused(body: memoryview) -> None:
    with pytest.raises(ValueError, match=r"lacks a part|bytes|netmask|not permitted"):
        rule.decode(body)
