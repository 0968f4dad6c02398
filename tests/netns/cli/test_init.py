# SPDX-License-Identifier: Apache-2.0
"""`krait init` on live interfaces: of a leaf and of a hub, and what it refuses."""

from dataclasses import replace

from krait.lab.machine import Outcome
from krait.lab.mesh import Lab, MeshPeer, full_mesh, hub_and_spokes
from krait.lab.namespace import NamespaceMachine
from krait.policy.document import load
from krait.policy.model import Document


def init(machine: NamespaceMachine, interface: str) -> Outcome:
    return machine.run(["krait", "init", interface])


def document(machine: NamespaceMachine) -> Document:
    return load(machine.succeed(["krait", "init", "wg0"]).encode(), "wg0.yaml")


def test_a_live_interface_becomes_a_document_that_passes_check() -> None:
    x, y = full_mesh("x", "y")
    lan = MeshPeer("y", (*x.peers[0].allowed_ips, "10.20.0.0/24"))
    with Lab((replace(x, peers=(lan,)), y)) as lab:
        checked = lab["x"].succeed("krait init wg0 | krait check /dev/stdin")
        assert checked == "ok: 2 nodes, 3 identities, 1 rule, 3 tests passed\n"
        me, peer = document(lab["x"]).nodes
        assert (me.name, peer.name) == ("x", "peer1")
        assert [str(route.cidr) for route in me.routes] == ["192.0.2.0/24", "2001:db8::/64"]
        assert [str(route.cidr) for route in peer.routes] == ["10.20.0.0/24"]
        assert not me.transit
        assert "# 10.8.0.2, fd7a:6b72::2, at 192.0.2.2:51820" in init(lab["x"], "wg0").stdout


def test_a_hub_keeps_passing_on_what_it_passes_on_today() -> None:
    with Lab(hub_and_spokes("hub", "s1", "s2")) as lab:
        hub, *spokes = document(lab["hub"]).nodes
        assert hub.transit
        assert len(spokes) == 2
        me, _ = document(lab["s1"]).nodes
        assert not me.transit


def test_what_is_no_wireguard_interface_is_refused_as_bad_usage() -> None:
    with Lab() as lab:
        alone = lab.add("alone", on_underlay=True)
        for interface, complaint in {
            "eth0": "eth0 is not a WireGuard interface",
            "wg7": "there is no interface wg7",
            "a/b": "there is no interface a/b",
        }.items():
            outcome = init(alone, interface)
            assert (outcome.code, outcome.stdout) == (2, "")
            assert complaint in outcome.stderr
            assert "hint:" in outcome.stderr
