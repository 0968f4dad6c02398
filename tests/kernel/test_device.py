# SPDX-License-Identifier: Apache-2.0
"""Devices that Krait makes. Where the kernel has no WireGuard, a bridge stands in for one: the
kernel makes and marks devices of every kind by the same code.
"""

import json
import os
import socket
import struct
import subprocess
from functools import partial
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

import pytest

from krait.common.errors import SystemRefused
from krait.kernel import device
from krait.kernel.device import NoKernelWireguard
from krait.kernel.link import Link, NoSuchInterface, observe_link
from krait.kernel.netlink import BUFFER_BYTES, GENERIC, Netlink, attributes, messages, string
from tests.requirements import need_tools

need_tools("ip")

pytestmark = pytest.mark.usefixtures("netns")


def kernel_has_wireguard() -> bool:
    with Netlink(GENERIC) as netlink:
        return netlink.family("wireguard") is not None


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch) -> str:
    if not kernel_has_wireguard():
        monkeypatch.setattr(device, "KIND", "bridge")
    return device.KIND


def look(name: str) -> Link:
    link = observe_link(name)
    assert link is not None
    return link


def interfaces(*texts: str) -> list[IPv4Interface | IPv6Interface]:
    return [ip_interface(text) for text in texts]


def addresses(name: str) -> set[str]:
    return {str(each) for each in look(name).addresses if not each.is_link_local}


def test_a_device_is_made_down_and_marked_as_ours(kind: str) -> None:
    made = device.make("kr0", mtu=1400)
    assert made == look("kr0")
    assert (made.name, made.kind, made.mtu, made.up) == ("kr0", kind, 1400, False)
    assert device.is_ours(made)
    subprocess.run(["ip", "link", "add", "br7", "type", "bridge"], check=True)
    assert not device.is_ours(look("br7"))


@pytest.mark.usefixtures("kind")
def test_the_mark_is_there_in_the_first_word_of_the_kernel_about_the_device() -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as listener:
        listener.bind((0, 1))  # RTMGRP_LINK
        device.make("kr0", mtu=1420)
        groups = []
        for message in messages(memoryview(listener.recv(BUFFER_BYTES))):
            fields = dict(attributes(message.body, 16))
            assert string(fields[3]) == "kr0"
            groups.append(struct.unpack("=I", fields[27])[0])
        assert groups[0] == device.MARK


def test_a_kernel_without_wireguard_says_so_and_names_the_way_out() -> None:
    if kernel_has_wireguard():
        pytest.skip("this kernel has WireGuard")
    with pytest.raises(NoKernelWireguard) as told:
        device.make("kr0", mtu=1420)
    assert "--userspace wireguard-go" in told.value.hint
    assert observe_link("kr0") is None


@pytest.mark.usefixtures("kind")
def test_a_name_that_is_taken_is_refused_and_left_alone() -> None:
    subprocess.run(["ip", "link", "add", "kr0", "type", "bridge"], check=True)
    before = look("kr0")
    with pytest.raises(SystemRefused, match="there is an interface kr0 already"):
        device.make("kr0", mtu=1420)
    assert look("kr0") == before


@pytest.mark.usefixtures("kind")
def test_a_device_goes_up_and_down_and_changes_its_mtu_and_keeps_its_mark() -> None:
    ifindex = device.make("kr0", mtu=1420).ifindex
    device.set_up(ifindex)
    assert look("kr0").up
    device.set_mtu(ifindex, 1380)
    assert look("kr0").mtu == 1380
    for on in (True, False, True):
        device.set_multicast(ifindex, on=on)
        assert look("kr0").multicast == on
        assert look("kr0").up
    device.set_down(ifindex)
    link = look("kr0")
    assert not link.up
    assert device.is_ours(link)


@pytest.mark.usefixtures("kind")
def test_a_deleted_device_is_gone_and_may_be_deleted_again() -> None:
    ifindex = device.make("kr0", mtu=1420).ifindex
    for _ in range(2):
        device.delete(ifindex)
        assert observe_link("kr0") is None
    changes = (
        partial(device.set_up, ifindex),
        partial(device.set_mtu, ifindex, 1400),
        partial(device.add_addresses, ifindex, interfaces("10.8.0.1/24")),
    )
    for change in changes:
        with pytest.raises(NoSuchInterface):
            change()
    device.remove_addresses(ifindex, interfaces("10.8.0.1/24"))


def test_a_device_made_by_another_is_marked() -> None:
    subprocess.run(["ip", "tuntap", "add", "tun7", "mode", "tun"], check=True)
    device.mark(look("tun7").ifindex)
    assert device.is_ours(look("tun7"))


@pytest.mark.usefixtures("kind")
def test_addresses_of_both_families_come_and_go_and_may_do_so_twice() -> None:
    ifindex = device.make("kr0", mtu=1420).ifindex
    some = interfaces("10.8.0.1/24", "10.9.0.1/32", "fd7a:6b72::1/64", "fd7a:6b72::2/128")
    for _ in range(2):
        device.add_addresses(ifindex, some)
        assert addresses("kr0") == {str(each) for each in some}
    for _ in range(2):
        device.remove_addresses(ifindex, some[1:3])
        assert addresses("kr0") == {"10.8.0.1/24", "fd7a:6b72::2/128"}


@pytest.mark.usefixtures("kind")
def test_an_ipv6_address_is_not_tentative() -> None:
    ifindex = device.make("kr0", mtu=1420).ifindex
    device.add_addresses(ifindex, interfaces("10.8.0.1/24", "fd7a:6b72::1/64"))
    (show,) = json.loads(subprocess.check_output(["ip", "-json", "address", "show", "dev", "kr0"]))
    nodad = {each["local"]: each.get("nodad", False) for each in show["addr_info"]}
    assert nodad == {"10.8.0.1": False, "fd7a:6b72::1": True}


@pytest.mark.usefixtures("kind")
def test_a_thousand_addresses_arrive_and_go() -> None:
    ifindex = device.make("kr0", mtu=1420).ifindex
    many = interfaces(*(f"10.8.{n >> 8}.{n & 255}/32" for n in range(1_000)))
    device.add_addresses(ifindex, many)
    assert len(addresses("kr0")) == 1_000
    device.remove_addresses(ifindex, many)
    assert addresses("kr0") == set()


@pytest.mark.usefixtures("kind")
def test_an_address_that_is_refused_is_named_and_the_others_are_there() -> None:
    ifindex = device.make("kr0", mtu=1420).ifindex
    some = interfaces("10.8.0.1/24", "ff02::1/64", "fd7a:6b72::1/64")
    with pytest.raises(SystemRefused, match=r"cannot add address ff02::1/64 on kr0: "):
        device.add_addresses(ifindex, some)
    assert addresses("kr0") == {"10.8.0.1/24", "fd7a:6b72::1/64"}


def test_who_may_not_is_told_what_it_takes() -> None:
    subprocess.run(["ip", "tuntap", "add", "tun7", "mode", "tun"], check=True)
    ifindex = look("tun7").ifindex
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        try:
            device.set_up(ifindex)
        except SystemRefused as error:
            os._exit(7 if "CAP_NET_ADMIN" in error.hint else 8)
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
