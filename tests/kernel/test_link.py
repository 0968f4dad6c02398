# SPDX-License-Identifier: Apache-2.0
"""Interfaces in a namespace of the test's own, changed by `ip`."""

import socket
import subprocess
from dataclasses import replace
from ipaddress import ip_interface

import pytest

from krait.kernel.link import Link, OtherName, observe_link, observe_links, observe_own
from tests.requirements import need_tools

need_tools("ip")

pytestmark = pytest.mark.usefixtures("netns")


def ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)


def test_an_alternative_name_is_told_from_the_interfaces_own() -> None:
    ip("link add v0 type veth peer name v1")
    ip("link property add dev v0 altname other0")
    own = observe_own("v0")
    assert own == observe_link("other0")
    with pytest.raises(OtherName, match="other0 is only another name of the interface v0"):
        observe_own("other0")
    assert observe_own("v9") is None


def test_an_interface_is_seen_with_its_kind_state_and_addresses() -> None:
    ip("link add v0 mtu 1420 type veth peer name v1")
    ip("address add 10.8.0.1/24 dev v0")
    ip("address add 10.8.0.9 peer 10.8.0.10 dev v0")
    ip("address add fd7a:6b72::1/64 dev v0")
    addresses = tuple(map(ip_interface, ("10.8.0.1/24", "10.8.0.9/32", "fd7a:6b72::1/64")))
    ifindex = socket.if_nametoindex("v0")
    expected = Link(ifindex, "v0", "veth", 1420, up=False, addresses=addresses, multicast=True)
    assert observe_link("v0") == expected
    ip("link set v0 multicast off")
    assert observe_link("v0") == replace(expected, multicast=False)
    ip("link set v0 up")
    link = observe_link("v0")
    assert link is not None
    assert link.up


def test_all_interfaces_at_once_are_what_they_are_one_by_one() -> None:
    ip("link add v0 type veth peer name v1")
    ip("address add 10.8.0.1/24 dev v0")
    ip("address add fd00::1/64 dev v1 nodad")
    ip("link set v1 up")
    names = [name for _, name in socket.if_nameindex()]
    found = observe_links()
    assert [each.name for each in found] == names
    assert found == tuple(map(observe_link, names))


def test_an_interface_with_a_dot_in_its_name_is_an_interface() -> None:
    ip("link add wg0.100 type bridge")
    link = observe_link("wg0.100")
    assert link is not None
    assert link.name == "wg0.100"


@pytest.mark.parametrize("name", ["v9", "", "a-name-that-is-too-long-for-one"])
def test_a_name_that_nothing_has_is_no_interface(name: str) -> None:
    assert observe_link(name) is None
