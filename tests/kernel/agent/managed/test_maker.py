# SPDX-License-Identifier: Apache-2.0
"""Whose addresses the mesh's are, by real links and routes. A bare tun device is ours here."""

import socket
import subprocess
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from krait.agent.managed.maker import KernelMaker, Looped, Overlap
from krait.agent.paths import Paths
from krait.kernel.device import MARK
from krait.kernel.route import PROTOCOL, add_routes, through, unreachable
from krait.kernel.udp import PortInUse
from krait.policy.device import WantedDevice, WantedPeer
from tests.requirements import need_tools

need_tools("ip")

pytestmark = pytest.mark.usefixtures("netns")

PORT = 51820


def ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)


def device(mesh: str, *behind: str) -> WantedDevice:
    return WantedDevice(
        node="me",
        interface="wg0",
        public_key=b"o" * 32,
        addresses=(),
        listen_port=PORT,
        mtu=None,
        peers=(),
        routes=(),
        unreachable=(ip_network(mesh),),
        mesh=(ip_network(mesh),),
        behind=tuple(map(ip_network, behind)),
    )


OWN = device("10.8.0.0/24")


@pytest.fixture
def maker(tmp_path: Path) -> KernelMaker:
    """On a host with 10.50.0.0/16 on its cable, 10.51.0.0/24 behind it, and another mesh."""
    ip("link add eth0 type veth peer name far")
    ip("link add wg1 type bridge")
    for name in ("eth0", "far", "wg1"):
        ip(f"link set {name} up")
    ip("address add 10.50.0.9/16 dev eth0")
    ip("route add 10.51.0.0/24 via 10.50.0.1")
    ip(f"route add 10.9.0.0/24 dev wg1 proto {PROTOCOL}")
    add_routes([unreachable(ip_network("10.9.0.0/24"), "wg1")])
    return KernelMaker("wg0", Paths(state=tmp_path))


def make(group: int = MARK) -> None:
    """A device that is as `krait up` leaves it."""
    ip("tuntap add dev wg0 mode tun")
    ip(f"link set wg0 group {group} up")
    ip("address add 10.8.0.1/24 dev wg0")
    ip(f"route add 10.20.0.0/24 dev wg0 proto {PROTOCOL}")
    fence()


def fence() -> None:
    add_routes([unreachable(ip_network(each), "wg0") for each in ("10.8.0.0/24", "10.20.0.0/24")])


TAKEN = {
    "10.50.0.0/24": "eth0 has 10.50.0.9/16",
    "10.51.0.0/24": "eth0 has a route to 10.51.0.0/24",
    "10.9.0.0/16": "wg1 has a route to 10.9.0.0/24",
}


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize(("mesh", "words"), TAKEN.items())
def test_a_range_of_somebody_elses_is_refused_whether_there_is_a_device_or_not(
    maker: KernelMaker, mesh: str, words: str, *, exists: bool
) -> None:
    if exists:
        make()
    for ask in (maker.require_apart, maker.require_free):
        with pytest.raises(Overlap, match=words):
            ask(device(mesh))


def test_what_is_on_our_own_device_is_nobody_elses(maker: KernelMaker) -> None:
    for each in ("10.8.0.0/24", "10.8.0.0/16", "10.20.0.0/24"):
        maker.require_apart(device(each))
    make()
    for each in ("10.8.0.0/24", "10.8.0.0/16", "10.20.0.0/24"):
        maker.require_free(device(each))
        assert maker.overlap(device(each)) is None


def test_another_tools_device_of_the_name_is_refused_as_that_and_not_as_an_overlap(
    maker: KernelMaker,
) -> None:
    make(group=0)
    maker.require_apart(OWN)
    ip("address add 10.8.0.77/16 dev eth0")
    with pytest.raises(Overlap):  # what is on that device is in force for nobody here
        maker.require_apart(OWN)


def test_who_comes_later_is_told_and_the_range_that_is_in_force_is_not_refused(
    maker: KernelMaker,
) -> None:
    make()
    ip("address add 10.8.0.77/16 dev eth0")
    assert "eth0 has 10.8.0.77/16" in str(maker.overlap(OWN))
    maker.require_free(OWN)
    with pytest.raises(Overlap):
        maker.require_free(device("10.8.0.0/22"))


def test_without_a_device_a_range_is_not_in_force_though_it_is_fenced(maker: KernelMaker) -> None:
    fence()
    maker.require_apart(OWN)
    ip("address add 10.8.0.77/16 dev eth0")
    with pytest.raises(Overlap):
        maker.require_apart(OWN)


def test_a_subnet_of_the_mesh_that_is_behind_this_machine_is_no_overlap(maker: KernelMaker) -> None:
    ip("address add 10.8.0.129/25 dev eth0")
    with pytest.raises(Overlap):
        maker.require_apart(OWN)
    maker.require_apart(device("10.8.0.0/24", "10.8.0.128/25"))


LOOPED = replace(
    OWN,
    peers=(
        WantedPeer("hub", b"h" * 32, "10.50.0.2:1", 0, (ip_network("10.50.0.0/16"),), None),
        WantedPeer("far", b"f" * 32, "10.20.0.2:1", 0, (ip_network("10.20.0.0/24"),), None),
    ),
    routes=(ip_network("10.50.0.0/16"), ip_network("10.20.0.0/24")),
)
"""The first one's endpoint is on the cable, the second one's only in the tunnel."""


def test_an_endpoint_that_only_its_own_tunnel_leads_to_is_refused(maker: KernelMaker) -> None:
    with pytest.raises(Looped) as told:
        maker.require_no_loop(LOOPED)
    assert told.value.message == (
        "the endpoint of far, 10.20.0.2, is in 10.20.0.0/24, which the tunnel to far leads to"
    )
    assert "take the route out" in told.value.hint
    ip("route add 10.20.0.2/32 via 10.50.0.1")
    maker.require_no_loop(LOOPED)


def test_a_way_that_counts_less_than_the_tunnels_does_not_help(maker: KernelMaker) -> None:
    ip("route add 10.20.0.0/24 via 10.50.0.1 metric 100")
    with pytest.raises(Looped):
        maker.require_no_loop(LOOPED)


def test_no_way_of_the_hosts_helps_an_endpoint_in_the_mesh(maker: KernelMaker) -> None:
    ip("route add 10.8.0.2/32 via 10.50.0.1")
    peer = WantedPeer("hub", b"h" * 32, "10.8.0.2:1", 0, (ip_network("10.8.0.2/32"),), None)
    with pytest.raises(Looped):
        maker.require_no_loop(replace(OWN, peers=(peer,)))


def test_a_loop_that_is_in_force_is_told_and_not_refused(maker: KernelMaker) -> None:
    make()
    ip("route del 10.20.0.0/24 dev wg0")
    with pytest.raises(Looped):
        maker.require_no_loop(LOOPED)
    add_routes([through(ip_network("10.20.0.0/24"), socket.if_nametoindex("wg0"))])
    maker.require_no_loop(LOOPED)
    assert isinstance(maker.overlap(LOOPED), Looped)


def test_a_port_is_asked_for_before_there_is_a_device_and_never_after(maker: KernelMaker) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", PORT))
        maker.require_apart(OWN)
        with pytest.raises(PortInUse):
            maker.require_free(OWN)
        make()
        maker.require_free(OWN)
