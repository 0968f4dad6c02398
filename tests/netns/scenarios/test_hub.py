# SPDX-License-Identifier: Apache-2.0
"""Spokes that reach each other through a hub, and what a spoke may say of who it is."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from krait.kernel.seat import AttachKind
from krait.lab.cable import address_added
from krait.lab.mesh import Lab, MeshPeer, hub_and_spokes
from tests.netns.agent.conftest import BOTH_KINDS
from tests.netns.scenarios.conftest import Mesh
from tests.patience import wait_until

NOBODYS = ("10.8.0.9", "fd7a:6b72::9")  # in the mesh, and nobody's by the document
ELSEWHERE = ("172.16.0.9", "fd99::9")  # outside it
EVERYONE = ("hub", "north", "south")
NODES = {
    "hub": "tags: [h], transit: true",
    "north": "tags: [n], via: hub",
    "south": "tags: [s], via: hub",
}
WITHOUT_TRANSIT = {"hub": "tags: [h]", "north": "tags: [n]", "south": "tags: [s]"}
RULES = [
    "name: ping, from: n, to: s, ports: icmp",
    "name: web, from: n, to: s, ports: [tcp/80, udp/80]",
    "name: back, from: s, to: n, ports: udp/81",
    "name: hub, from: n, to: h",
]


@pytest.fixture
def mesh(kind: AttachKind) -> Iterator[Mesh]:
    """A hub that forwards; to WireGuard there, the north also owns an address of nobody."""
    hub, *spokes = hub_and_spokes(*EVERYONE)
    north, south = hub.peers
    generous = MeshPeer("north", (*north.allowed_ips, *NOBODYS))
    with Lab((replace(hub, peers=(generous, south)), *spokes)) as lab:
        mesh = Mesh(lab, kind)
        for name in EVERYONE:
            mesh.serve(name, 80, 81)
        yield mesh


@BOTH_KINDS
@pytest.mark.parametrize("enforcing", [EVERYONE, ("hub",)], ids=["all", "hub"])
def test_spokes_reach_each_other_as_the_rules_say(mesh: Mesh, enforcing: tuple[str, ...]) -> None:
    mesh.enforce(mesh.document(NODES, RULES), *enforcing)
    mesh.succeed("north", "south", "icmp", "tcp/80", "udp/80")
    mesh.succeed("south", "north", "udp/81")
    mesh.succeed("north", "hub", "icmp", "tcp/80")
    north, south = (name if name in enforcing else "hub" for name in ("north", "south"))
    mesh.fail("north", "south", "tcp/81", drops={north: "denied"})
    mesh.fail("south", "north", "icmp", "tcp/80", "udp/80", drops={south: "denied"})


def test_a_hub_without_transit_passes_nothing_on(mesh: Mesh) -> None:
    mesh.enforce(mesh.document(WITHOUT_TRANSIT, RULES), "hub")
    mesh.succeed("north", "hub", "icmp", "tcp/80")
    mesh.fail("north", "south", "icmp", "tcp/80", "udp/80", drops={"hub": "not-transit"})
    mesh.enforce(mesh.document(NODES, RULES), "hub")
    mesh.succeed("north", "south", "icmp", "tcp/80", "udp/80")


@BOTH_KINDS
def test_a_relayed_packet_counts_once(mesh: Mesh) -> None:
    mesh.enforce(mesh.document(NODES, RULES), "north", "hub")
    mesh.succeed("north", "south", *["icmp"] * 5)
    north, hub = mesh.warden("north"), mesh.warden("hub")
    # A packet may be under way between the two: in the end they agree.
    wait_until(lambda: hub.passed("ping") == north.passed("ping"))
    assert north.passed("ping") >= 20  # requests and replies, both families


def test_a_spoke_in_anothers_address_is_stopped_by_wireguard(mesh: Mesh) -> None:
    # The north is hostile and runs no Krait.
    mesh.enforce(mesh.document(NODES, RULES), "hub")
    spoof(mesh, "north", mesh.hosts["south"])
    sent = transmitted(mesh, "north")
    mesh.fail("north", "hub", "icmp", "udp/80", drops={})
    wait_until(lambda: transmitted(mesh, "north") > sent)


def test_a_spoke_in_an_address_that_the_document_gives_nobody_is_dropped(mesh: Mesh) -> None:
    mesh.enforce(mesh.document(NODES, RULES), "hub")
    spoof(mesh, "north", NOBODYS)
    mesh.fail("north", "hub", "icmp", "tcp/80", drops={"hub": "no-identity"})
    mesh.fail("north", "south", "icmp", "tcp/80", drops={"hub": "no-identity"})


@pytest.mark.parametrize(
    ("addresses", "why"),
    [(NOBODYS, "not-transit"), (ELSEWHERE, "unknown-source")],
    ids=["nobodys", "elsewhere"],
)
def test_an_enforcing_spoke_sends_nothing_from_an_address_that_is_not_its_own(
    mesh: Mesh, addresses: tuple[str, ...], why: str
) -> None:
    mesh.enforce(mesh.document(NODES, RULES), "north")
    spoof(mesh, "north", addresses)
    mesh.fail("north", "south", "icmp", "tcp/80", drops={"north": why})


def test_a_host_behind_the_hub_in_a_spokes_address_is_none(mesh: Mesh) -> None:
    mesh.wire("hub", "guest", "10.20.0.0/24", "fd20::/64")
    mesh.enforce(mesh.document(NODES, RULES), "hub")
    mesh.succeed("south", "north", "udp/81")
    spoof(mesh, "guest", mesh.hosts["south"], ways=("via 10.20.0.1", "via fd20::1"))
    mesh.fail("guest", "north", "udp/81", drops={"hub": "wrong-side"})


def spoof(
    mesh: Mesh, name: str, addresses: tuple[str, ...], ways: tuple[str, ...] = ("dev wg0",) * 2
) -> None:
    """Let what a machine sends to the mesh go these ways and bear these addresses, by family."""
    for family, (source, way) in enumerate(zip(addresses, ways, strict=True)):
        others = {mesh.hosts[each][family] for each in EVERYONE if each != name} - {source}
        routes = [f"ip route add {host} {way} src {source}" for host in others]
        mesh[name].succeed(" && ".join([f"ip {address_added(source, 'lo')}", *routes]))


def transmitted(mesh: Mesh, name: str) -> int:
    """Bytes that WireGuard sent to the machine's only peer."""
    return int(mesh[name].succeed("wg show wg0 transfer").split()[2])
