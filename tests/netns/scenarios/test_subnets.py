# SPDX-License-Identifier: Apache-2.0
"""Hosts behind a node, which have no key: in a subnet with tags of its own, and in one without."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from krait.kernel.seat import AttachKind
from krait.lab.mesh import Lab, MeshPeer, full_mesh
from tests.netns.scenarios.conftest import Mesh

OFFICE = ("10.20.0.0/24", "fd20::/64")
CELLAR = ("10.21.0.0/24", "fd21::/64")
NODES = {
    "alice": "tags: [a]",
    "gate": "tags: [g], routes: [{cidr: 10.20.0.0/24, tags: office},"
    ' {cidr: "fd20::/64", tags: office}, 10.21.0.0/24, "fd21::/64"]',
}
RULES = [
    "name: print, from: a, to: office, ports: [tcp/80, icmp]",
    "name: scan, from: office, to: a, ports: udp/80",
    "name: gate, from: [a, g], to: [a, g]",
]


@pytest.fixture
def mesh(kind: AttachKind) -> Iterator[Mesh]:
    """Alice, and a gate with a printer in the office and a boiler in the cellar behind it."""
    alice, gate = full_mesh("alice", "gate")
    (to_gate,) = alice.peers
    routed = MeshPeer("gate", (*to_gate.allowed_ips, *OFFICE, *CELLAR))
    with Lab((replace(alice, peers=(routed,)), replace(gate, forwards=True))) as lab:
        mesh = Mesh(lab, kind)
        mesh.wire("gate", "printer", *OFFICE)
        mesh.wire("gate", "boiler", *CELLAR)
        for name in mesh.hosts:
            mesh.serve(name, 80, 81)
        yield mesh


def test_rules_for_a_subnets_tag_hold_in_both_directions(mesh: Mesh) -> None:
    mesh.enforce(mesh.document(NODES, RULES), "alice", "gate")
    mesh.succeed("alice", "printer", "icmp", "tcp/80")
    mesh.succeed("printer", "alice", "udp/80")
    mesh.fail("alice", "printer", "udp/80", "tcp/81", drops={"alice": "denied"})
    mesh.fail("printer", "alice", "icmp", "tcp/80", drops={"gate": "denied"})


def test_the_gate_alone_enforces_for_the_hosts_behind_it(mesh: Mesh) -> None:
    mesh.enforce(mesh.document(NODES, RULES), "gate")
    mesh.succeed("alice", "printer", "icmp", "tcp/80")
    mesh.succeed("printer", "alice", "udp/80")
    mesh.fail("alice", "printer", "udp/80", "tcp/81", drops={"gate": "denied"})
    mesh.fail("printer", "alice", "icmp", "tcp/80", drops={"gate": "denied"})


def test_a_subnet_without_tags_has_no_identity_and_not_that_of_its_gate(mesh: Mesh) -> None:
    mesh.enforce(mesh.document(NODES, RULES), "alice", "gate")
    mesh.succeed("alice", "gate", "icmp", "tcp/80")
    mesh.fail("alice", "boiler", "icmp", "tcp/80", drops={"alice": "no-identity"})
    mesh.fail("boiler", "alice", "icmp", "udp/80", drops={"gate": "no-identity"})
