# SPDX-License-Identifier: Apache-2.0
"""Datagrams in fragments: large ones by honest kernels, and those of somebody who makes his own."""

import struct
from collections.abc import Iterator

import pytest

from krait.kernel.seat import AttachKind
from krait.lab.mesh import Lab, full_mesh, hub_and_spokes
from tests.netns.agent.conftest import BOTH_KINDS
from tests.netns.scenarios.conftest import PACKETS, Mesh
from tests.patience import wait_until
from tests.requirements import KINDS

NODES = {"alice": "tags: a", "bob": "tags: b"}
RULES = ["name: bulk, from: a, to: b, ports: [udp/80, tcp/80]"]
SPOKES = {
    "hub": "tags: [h], transit: true",
    "north": "tags: [n], via: hub",
    "south": "tags: [s], via: hub",
}
RELAYED = ["name: bulk, from: n, to: s, ports: udp/80"]
UDP, TCP = "17", "6"
SYN = struct.pack("!HHIIBBHHH", 40000, 80, 1, 0, 5 << 4, 2, 512, 0, 0)


def udp(port: int, length: int) -> bytes:
    return struct.pack("!HHHH", 40000, port, length, 0)


def piece(offset: int, data: bytes, *, more: bool) -> str:
    return f"{offset:x}:{more:d}:{data.hex()}"


@BOTH_KINDS
def test_large_udp_passes_a_rule_with_ports_and_no_other(pair: Mesh) -> None:
    pair.enforce(pair.document(NODES, RULES), "bob")
    # A kernel that is told of the first's end sends no more: her own is not to drop it.
    pair.enforce(pair.document(NODES, ["name: generous, from: a, to: b, ports: udp"]), "alice")
    alice, bob = pair.warden("alice"), pair.warden("bob")
    for address in pair.hosts["bob"]:
        pair["alice"].succeed([*PACKETS, "large", address, "80"])
    assert not alice.drops()
    assert not bob.drops()
    assert bob.passed("bulk") >= 2 * 6 * 2  # six fragments each way, for each family
    for address in pair.hosts["bob"]:
        pair["alice"].fail([*PACKETS, "large", address, "81"])
    # Of each datagram the first is denied, and the rest has none.
    drops = {"denied": 6, "fragment": 6 * 5}
    wait_until(lambda: bob.drops() == drops, lambda: f"{bob.drops()} moved")
    assert not alice.drops()


@pytest.fixture
def spokes(kind: AttachKind) -> Iterator[Mesh]:
    with Lab(hub_and_spokes(*SPOKES)) as lab:
        mesh = Mesh(lab, kind)
        mesh.serve("south", 80)
        yield mesh


def test_a_hub_relays_large_udp(spokes: Mesh) -> None:
    spokes.enforce(spokes.document(SPOKES, RELAYED), *SPOKES)
    for address in spokes.hosts["south"]:
        spokes["north"].succeed([*PACKETS, "large", address, "80"])
    for name in SPOKES:
        assert not spokes.warden(name).drops()
    assert spokes.warden("hub").passed("bulk") >= 2 * 6 * 2


FORGED = {
    "a later one alone": (UDP, [piece(8, bytes(8), more=False)], {"fragment": 1}),
    "no room for the ports in the first": (
        TCP,
        [piece(0, SYN[:8], more=True), piece(8, SYN[8:], more=False)],
        {"malformed": 1, "fragment": 1},
    ),
    "flags written anew": (
        TCP,
        [piece(0, SYN + bytes(4), more=True), piece(8, bytes(16), more=False)],
        {"fragment-overlap": 1},
    ),
    "a port written anew": (
        UDP,
        [piece(0, udp(80, 16), more=True), piece(0, udp(81, 16), more=True)],
        {"denied": 1},
    ),
    "another port first": (
        UDP,
        [piece(0, udp(81, 16), more=True), piece(8, bytes(8), more=False)],
        {"denied": 1, "fragment": 1},
    ),
    "half a unit": (UDP, [piece(0, udp(80, 13) + bytes(5), more=True)], {"malformed": 1}),
    "beyond the end of all datagrams": (
        UDP,
        [piece(0, udp(80, 16), more=True), piece(0xFFF8, bytes(8), more=False)],
        {"malformed": 1},
    ),
}


@pytest.fixture(scope="module")
def victim() -> Iterator[Mesh]:
    """Bob, who runs Krait; Alice is hostile and runs none."""
    with Lab(full_mesh("alice", "bob")) as lab:
        mesh = Mesh(lab, KINDS[0])
        mesh.serve("bob", 80, 81)
        mesh.enforce(mesh.document(NODES, RULES), "bob")
        mesh.succeed("alice", "bob", "udp/80")
        yield mesh


@pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize(("protocol", "parts", "drops"), FORGED.values(), ids=FORGED.keys())
def test_forged_fragments_drop(
    victim: Mesh, family: int, protocol: str, parts: list[str], drops: dict[str, int]
) -> None:
    bob = victim.warden("bob")
    before = bob.drops()
    ends = [victim.hosts[name][family] for name in ("alice", "bob")]
    victim["alice"].succeed([*PACKETS, "pieces", protocol, *ends, *parts])

    def moved() -> dict[str, int]:
        after = bob.drops()
        # Bob's kernel tells of what never became whole after 30 s, when its flow is gone.
        after.pop("no-flow", None)
        return {
            why: count - before.get(why, 0)
            for why, count in after.items()
            if count != before.get(why)
        }

    wait_until(lambda: moved() == drops, lambda: f"{moved()} moved")
