# SPDX-License-Identifier: Apache-2.0
from base64 import b64encode
from ipaddress import ip_interface, ip_network
from pathlib import Path

import pytest

from krait.cli.doctor import underlay
from krait.cli.doctor.finding import Level
from krait.kernel.link import Link
from krait.kernel.underlay import Conflict, Occupant

MESH = ip_network("10.8.0.0/24")
LINK = Link(
    *(7, "wg0", "wireguard", 1420),
    up=True,
    addresses=tuple(map(ip_interface, ("10.8.0.1/24", "10.9.0.1/32", "fe80::1/64"))),
)


def conflict(text: str, *, is_route: bool = False) -> Conflict:
    found = ip_interface(text)
    address = None if is_route else found.ip
    return Conflict(MESH, Occupant(found.network, "eth0", 2, address=address))


def test_programs_of_others_are_named_with_where_to_look() -> None:
    assert underlay.programs({}).level is Level.OK
    assert underlay.programs({"eth0": ()}).message == "no other program on eth0"
    found = {"eth0": ("XDP program 7", "bpf x on ingress"), "eth1": ()}
    answer = underlay.programs(found)
    assert answer.level is Level.NOTE
    assert "XDP program 7 of eth0 and bpf x on ingress of eth0" in answer.message
    assert answer.hint.splitlines()[1:] == ["bpftool net show dev eth0"]


def test_who_has_the_meshs_addresses_is_named_and_the_others_are_details() -> None:
    assert underlay.overlaps(()).level is Level.OK
    answer = underlay.overlaps([conflict("10.8.0.9/24"), conflict("10.0.0.0/8", is_route=True)])
    assert answer.level is Level.WARN
    assert "eth0 has 10.8.0.9/24, and 10.8.0.0/24 is the mesh's" in answer.message
    assert "ip address show to 10.8.0.9" in answer.hint
    assert answer.details == ("eth0 has a route to 10.0.0.0/8, and 10.8.0.0/24 is the mesh's",)
    route = underlay.overlaps([conflict("10.0.0.0/8", is_route=True)])
    assert "ip route show to 10.0.0.0/8" in route.hint


def test_a_strict_filter_drops_what_is_answered_elsewhere_of_ipv4() -> None:
    four, six = (ip_network("10.8.0.2/32"), "eth0"), (ip_network("fd7a::2/128"), "eth0")
    assert underlay.replies("wg0", (), strict=True).level is Level.OK
    answer = underlay.replies("wg0", (four, six), strict=True)
    assert answer.level is Level.WARN
    assert "rp_filter drops what it sends; 1 more such" in answer.message
    assert answer.hint == "ip route add 10.8.0.2/32 dev wg0"
    assert "outside the tunnel" in underlay.replies("wg0", (four,), strict=False).message
    assert "outside the tunnel" in underlay.replies("wg0", (six,), strict=True).message


@pytest.mark.parametrize(
    ("port", "interfaces", "programs", "level"),
    [
        (51820, ("eth0", "wg1"), ("bpf other on ingress",), Level.OK),
        (51820, ("cali1234",), (), Level.NOTE),
        (51820, ("vxlan.calico",), (), Level.NOTE),
        (51820, ("eth0",), ("bpf cali_tc_preamble on ingress",), Level.WARN),
        (51821, ("cali1234",), ("bpf cali_tc_preamble on ingress",), Level.OK),
    ],
)
def test_calico_matters_where_the_port_is_its_own(
    port: int, interfaces: tuple[str, ...], programs: tuple[str, ...], level: Level
) -> None:
    answer = underlay.calico(port, interfaces, {"eth0": programs})
    assert answer.level is level
    assert ("calico#12900" in answer.message) is (level is not Level.OK)


def test_the_range_is_the_documents_else_the_interfaces_own(tmp_path: Path) -> None:
    place = tmp_path / "wg0.yaml"
    assert underlay.mesh(LINK, [place]) == (MESH,)
    place.write_text("no document")
    assert underlay.mesh(LINK, [place]) == (MESH,)
    key = b64encode(b"k" * 32).decode()
    place.write_text(
        "mesh: {cidr: 10.8.0.0/16}\n"
        f'nodes: {{a: {{public_key: "{key}", tags: [x], address: 10.8.0.1}}}}\n'
        "policy: {rules: [{from: x, to: x}]}\n"
    )
    assert underlay.mesh(LINK, [place]) == (ip_network("10.8.0.0/16"),)
