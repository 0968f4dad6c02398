# SPDX-License-Identifier: Apache-2.0
"""`krait flows` next to a real agent: the conversations of two nodes, while they go on."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from krait.lab.machine import Machine
from krait.lab.mesh import Lab, full_mesh
from krait.lab.traffic import Flow
from tests.netns.scenarios.conftest import Mesh, received, target
from tests.patience import wait_until
from tests.requirements import KINDS

ENDS = {"alice": "tags: [a]", "bob": "tags: [b]"}
PING = "name: ping, from: a, to: b, ports: icmp"
LIVE = "name: live, from: a, to: b, ports: tcp/90"
WIDE = "name: wide, from: a, to: b"


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    with Lab(full_mesh("alice", "bob")) as lab:
        yield Mesh(lab, KINDS[0])


def told(machine: Machine, options: str = "") -> list[dict[str, Any]]:
    flows: list[dict[str, Any]] = json.loads(machine.run(f"krait flows {options} --json").stdout)[
        "flows"
    ]
    return flows


def of_port(machine: Machine, port: int) -> dict[str, Any]:
    (found,) = (each for each in told(machine) if each["destination_port"] == port)
    return found


def test_a_flow_is_told_by_who_speaks_and_by_the_rule_of_its_revision(mesh: Mesh) -> None:
    warden = mesh.warden("bob")
    bob = warden.machine
    warden.enforce(mesh.document(ENDS, [PING, LIVE]))
    assert bob.run("krait flows").code == 1, "nobody has spoken"
    mesh.succeed("alice", "bob", "icmp")
    with Flow(mesh["alice"], mesh["bob"], target("tcp/90", mesh.hosts["bob"][0])) as live:
        wait_until(lambda: min(received(live.report())) >= 20, live.report)
        found = of_port(bob, 90)
        assert (found["from"], found["to"], found["rule"]) == ("alice", "bob", "live")
        assert (found["source"], found["state"]) == (mesh.hosts["alice"][0], "tcp-established")
        assert found["allowed"]
        assert not found["stale"]
        assert 0 <= found["age_s"] < 60
        assert 7000 < found["left_s"] <= 7200
        assert {each["rule"] for each in told(bob)} == {"ping", "live"}

        text = bob.succeed("krait flows --iface wg0")
        assert ":90)\n" in text
        assert '    by rule "live", tcp-established, ' in text
        assert text.splitlines()[-1].startswith("summary: ")
        assert max(map(len, text.splitlines())) <= 80

        for options in ("--from alice --to bob", "--peer alice", "--to 10.8.0.2"):
            assert 90 in {each["destination_port"] for each in told(bob, options)}, options
        assert bob.run("krait flows --from bob").code == 1
        assert bob.run("krait flows --peer 10.8.0.77").code == 1
        outcome = bob.run("krait flows --peer carol")
        assert outcome.code == 2
        assert 'no node "carol"' in outcome.stderr

        mesh.succeed("alice", "bob", "icmp")
        warden.enforce(mesh.document(ENDS, [WIDE, PING]))
        wait_until(lambda: of_port(bob, 90)["rule"] == "wide", lambda: of_port(bob, 90))
        stale = [each for each in told(bob) if each["stale"]]
        assert stale, "no packet has come since that would have them judged anew"
        assert {(each["protocol"], each["rule"]) for each in stale} <= {(1, None), (58, None)}
        assert "to be judged anew" in bob.succeed("krait flows")

        warden.enforce(mesh.document(ENDS, [PING]))
        wait_until(lambda: not of_port(bob, 90)["allowed"], lambda: of_port(bob, 90))
        assert of_port(bob, 90)["rule"] == "default"
        assert "    denied by the default, tcp-" in bob.succeed("krait flows")
