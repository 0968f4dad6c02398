# SPDX-License-Identifier: Apache-2.0
"""Routes and rules that no kernel tells of."""

from ipaddress import ip_network
from struct import pack

import pytest

from krait.kernel import route, rule
from krait.kernel.netlink import attribute
from krait.kernel.route import PROTOCOL, Table, through

UNICAST, TO_TABLE = 1, 1
OWN = attribute(15, pack("=I", Table.OWN))
OURS = attribute(21, bytes([PROTOCOL]))


def a_route(*parts: bytes, length: int = 24) -> memoryview:
    header = pack("=BBBBBBBBI", 2, length, 0, 0, 0, PROTOCOL, 0, UNICAST, 0)
    return memoryview(header + b"".join(parts))


def a_rule(address: bytes, *, family: int = 2, length: int = 24) -> memoryview:
    header = pack("=BBBBBBBBI", family, length, 0, 0, 0, 0, 0, TO_TABLE, 0)
    return memoryview(header + attribute(1, address) + OWN + OURS)


TO, DEVICE, METRIC = (
    attribute(kind, packed)
    for kind, packed in ((1, bytes((10, 8, 0, 0))), (4, pack("=I", 7)), (6, pack("=I", 1)))
)


def test_a_route_of_ours_is_read_in_the_table_that_it_is_in() -> None:
    body = a_route(OWN, TO, DEVICE, METRIC)
    assert route.decode(body, Table.OWN) == through(ip_network("10.8.0.0/24"), 7, Table.OWN)
    assert route.decode(body, Table.MAIN) is None


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
