# SPDX-License-Identifier: Apache-2.0
"""`krait init` on live interfaces: of a leaf and of a hub, and what it refuses."""

import json
from dataclasses import replace

from krait.lab.cable import End
from krait.lab.machine import Machine, Outcome
from krait.lab.mesh import Lab, MeshPeer, full_mesh, hub_and_spokes
from krait.lab.namespace import NamespaceMachine
from krait.lab.traffic import Protocol, Target, ask
from krait.policy.document import load
from krait.policy.formatted import WIDTH
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
        text = init(lab["x"], "wg0").stdout
        assert "# 10.8.0.2, fd7a:6b72::2, at 192.0.2.2:51820" in text
        assert max(map(len, text.splitlines())) <= WIDTH
        assert json.loads(lab["x"].succeed("krait init wg0 --json")) == {"document": text}


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


def test_a_hub_with_a_lan_that_adopts_its_draft_changes_nothing() -> None:
    hub, *spokes = hub_and_spokes("hub", "s1", "s2")
    to_hub = MeshPeer("hub", (*spokes[0].peers[0].allowed_ips, "10.20.0.0/24", "fd20::/64"))
    with Lab((hub, *(replace(spoke, peers=(to_hub,)) for spoke in spokes))) as lab:
        host = lab.add("host")
        lab.wire(
            End(lab["hub"], "lan0", ("10.20.0.1/24", "fd20::1/64")),
            End(host, "lan0", ("10.20.0.2/24", "fd20::2/64")),
        )
        host.succeed("ip route add default via 10.20.0.1; ip -6 route add default via fd20::1")
        for name in ("hub", "s1"):
            lab[name].succeed("krait init wg0 >/run/wg0.yaml")
            lab[name].spawn(["krait", "--iface", "wg0", "--config", "/run/wg0.yaml"])
            lab[name].wait_until_succeeds("krait status wg0 | grep -q 'wg0: enforcing'")
        spoke, lan = [*lab.nodes["s2"].hosts, "10.20.0.1", "fd20::1"], ["10.20.0.2", "fd20::2"]
        ways = {lab["s1"]: [*spoke, *lan], lab["hub"]: [*lab.nodes["s1"].hosts, *lan], host: spoke}
        questions: dict[Machine, list[Target]] = {
            machine: [Target(Protocol.ICMP, address) for address in addresses]
            for machine, addresses in ways.items()
        }
        for answers in ask(questions).values():
            assert [answer.target.address for answer in answers if not answer.ok] == []
        for name in ("hub", "s1"):
            (status,) = json.loads(lab[name].succeed("krait status --json"))["interfaces"]
            assert set(status["drops"]) <= {
                "multicast",
                "link-local",
                "redirect",
            }  # under every policy
            assert status["rules"]["allow-all"]["packets"] > 0
