# SPDX-License-Identifier: Apache-2.0
"""Links that no kernel tells of."""

from struct import pack

import pytest

from krait.kernel import link
from krait.kernel.netlink import attribute, text
from tests.unit.kernel.links import REST, told


def test_a_link_is_read_by_its_attributes() -> None:
    found = link.decode(told(7, text(3, "wg0"), REST))
    assert (found.ifindex, found.name, found.mtu, found.up) == (7, "wg0", 1420, True)


@pytest.mark.parametrize(
    "body",
    [
        told(7, REST),
        told(0, text(3, "wg0"), REST),
        told(-7, text(3, "wg0"), REST),
        told(7, text(3, ""), REST),
        told(7, text(3, "w" * 16), REST),
        told(7, text(3, "wg0")),
        told(7, text(3, "wg0"), attribute(4, bytes(3)), attribute(27, bytes(4))),
        told(7)[:15],
    ],
)
def test_a_link_that_cannot_be_is_refused(body: memoryview) -> None:
    with pytest.raises(ValueError, match=r"a link lacks a part|an interface of number"):
        link.decode(body)


@pytest.mark.parametrize("own", [bytes(3), bytes(16)])
def test_an_address_is_as_long_as_its_family_says(own: bytes) -> None:
    with pytest.raises(ValueError, match="address"):
        link.decode_address(memoryview(pack("=BBBBI", 2, 24, 0, 0, 7) + attribute(2, own)))
