# SPDX-License-Identifier: Apache-2.0
"""Ways, programs and occupants in a namespace of the test's own, against what `ip` made."""

import socket
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from krait.common.errors import SystemRefused
from krait.kernel.route import PROTOCOL
from krait.kernel.underlay import Way, occupants, ways, xdp_programs
from tests.requirements import need_tools

need_tools("ip", "clang")

pytestmark = pytest.mark.usefixtures("netns")

SOURCE = """
__attribute__((section("xdp"))) int pass(void *c) { return 2; }
char _license[] __attribute__((section("license"))) = "GPL";
"""


def ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)


@pytest.fixture
def eth0() -> Iterator[int]:
    """The number of an interface with a neighbour; its MTU is 1400."""
    ip("link add eth0 mtu 1400 type veth peer name far")
    for name in ("lo", "eth0", "far"):
        ip(f"link set {name} up")
    ip("address add 192.0.2.1/24 dev eth0")
    ip("address add 2001:db8::1/64 dev eth0 nodad")
    yield socket.if_nametoindex("eth0")
    ip("link delete eth0")


def test_ways_leave_by_the_interface_and_with_the_mtu_of_their_route(eth0: int) -> None:
    ip("route add 198.51.100.0/24 via 192.0.2.2 mtu 1300")
    ip("route add unreachable 203.0.113.0/24")
    asked = ("192.0.2.2", "2001:db8::2", "198.51.100.1", "203.0.113.1", "192.0.2.1", "127.0.0.1")
    assert ways(map(ip_address, (*asked, "8.8.8.8", "2001:4860::8"))) == (
        Way(eth0, "eth0", 1400, 4),
        Way(eth0, "eth0", 1400, 6),
        Way(eth0, "eth0", 1300, 4),
        *(None,) * 5,
    )


def test_occupants_are_addresses_and_the_routes_that_every_packet_asks(eth0: int) -> None:
    ip("route add 10.0.0.0/8 via 192.0.2.2")
    ip("route add unreachable 10.8.0.0/16")
    ip("route add 10.9.0.0/16 via 192.0.2.2 table 100")
    ip(f"route add 10.7.0.0/16 dev eth0 proto {PROTOCOL}")
    ip("route add 10.6.0.0/16 nexthop via 192.0.2.2 nexthop via 192.0.2.3 dev eth0")
    ip("route add fd00::/8 via 2001:db8::2")
    found = {str(each) for each in occupants()}
    assert found >= {
        "lo has 127.0.0.1/8",
        "eth0 has 192.0.2.1/24",
        "eth0 has 2001:db8::1/64",
        "eth0 has a route to 10.0.0.0/8",
        "nothing has a route to 10.8.0.0/16",
        "eth0 has a route to 10.7.0.0/16",
        "eth0 has a route to 10.6.0.0/16",
        "eth0 has a route to fd00::/8",
    }
    assert not [each for each in found if "10.9.0.0" in each or "255" in each]
    (own,) = (each for each in occupants() if "10.7.0.0" in str(each))
    assert (own.protocol, own.ifindex) == (PROTOCOL, eth0)


def test_an_xdp_program_is_seen_by_its_number(eth0: int, tmp_path: Path) -> None:
    assert xdp_programs(eth0) == ()
    source, made = tmp_path / "pass.c", tmp_path / "pass.o"
    source.write_text(SOURCE)
    subprocess.run(["clang", "-O2", "-target", "bpf", "-c", source, "-o", made], check=True)
    ip(f"link set eth0 xdpgeneric obj {made} sec xdp")
    (number,) = xdp_programs(eth0)
    shown = subprocess.run(["ip", "link", "show", "eth0"], capture_output=True, text=True).stdout
    assert f"prog/xdp id {number} " in shown
    with pytest.raises(SystemRefused):
        xdp_programs(eth0 + 4711)
