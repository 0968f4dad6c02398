# SPDX-License-Identifier: Apache-2.0
"""`krait diff` next to a real agent: what it says would be cut is cut once the document counts."""

import json
import sys
from collections.abc import Iterator
from functools import partial

import pytest

from krait.lab.mesh import Lab, full_mesh
from krait.lab.traffic import Flow
from tests.netns.flows import is_silent
from tests.netns.scenarios.conftest import Mesh, received, target
from tests.patience import wait_until
from tests.requirements import KINDS

ENDS = {"alice": "tags: [a]", "bob": "tags: [b]"}
PING = "name: ping, from: a, to: b, ports: icmp"
LIVE = "name: live, from: a, to: b, ports: tcp/90"
IDLE = "from: '*', to: '*', audit: true"
NEXT = "/run/next.yaml"
TABLES_ALONE = """
from krait.agent.paths import Paths
from krait.kernel.generations import Generations
from krait.policy.capacity import SMALLEST
Generations(Paths.here().pins_of("wg0")).load(SMALLEST)
"""
DIFF = f"krait diff {NEXT} --iface wg0"


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    with Lab(full_mesh("alice", "bob")) as lab:
        yield Mesh(lab, KINDS[0])


def test_what_would_be_cut_is_told_and_is_cut(mesh: Mesh) -> None:
    warden = mesh.warden("bob")
    bob = warden.machine
    warden.enforce(mesh.document(ENDS, [PING, LIVE]))
    with Flow(mesh["alice"], mesh["bob"], target("tcp/90", mesh.hosts["bob"][0])) as live:
        wait_until(lambda: min(received(live.report())) >= 20, live.report)

        bob.write(NEXT, mesh.document(ENDS, [LIVE.replace("live", "renamed"), PING]))
        assert bob.succeed(DIFF) == "nothing changes: every packet is judged as it is now\n"

        bob.write(NEXT, mesh.document(ENDS, [PING]))
        outcome = bob.run(DIFF)
        assert outcome.code == 1
        assert outcome.stdout.startswith("- a to b: tcp/90\n")
        assert "flows cut: 1\n    1  a to b\n" in outcome.stdout
        assert ":90 (alice to bob), tcp-established, just now" in outcome.stdout
        assert outcome.stdout.endswith("summary: 0 pairs open, 1 pair closes, 1 flow cut\n")
        assert max(map(len, outcome.stdout.splitlines())) <= 80

        found = json.loads(bob.run(f"{DIFF} --json").stdout)
        assert found["flows"]["pairs"] == [{"from": ["a"], "to": ["b"], "cut": 1}]
        (cut,) = found["flows"]["longest"]
        assert (cut["source"], cut["destination"]) == (mesh.hosts["alice"][0], "10.8.0.2")
        assert (cut["destination_port"], cut["reason"]) == (90, "denied")

        before = live.report()
        wait_until(lambda: live.report().forward.received > before.forward.received, live.report)
        warden.enforce(mesh.document(ENDS, [PING]))
        wait_until(partial(is_silent, live, 20), live.report)
    assert bob.succeed(DIFF).startswith("nothing changes")


def test_a_flow_that_its_other_side_opens_anew_is_told_to_be_cut_until_then(mesh: Mesh) -> None:
    warden = mesh.warden("bob")
    bob = warden.machine
    there = "name: there, from: a, to: b, ports: udp/90"
    warden.enforce(mesh.document(ENDS, [PING, there]))
    with Flow(mesh["alice"], mesh["bob"], target("udp/90", mesh.hosts["bob"][0])) as live:
        wait_until(lambda: min(received(live.report())) >= 20, live.report)
        bob.write(NEXT, mesh.document(ENDS, [PING, "name: back, from: b, to: a, ports: udp"]))
        outcome = bob.run(DIFF)
        assert "flows cut: 1\n    1  a to b\n    1 of them until the other" in outcome.stdout
        flows = json.loads(bob.run(f"{DIFF} --json").stdout)["flows"]
        assert (flows["reopening"], [each["reopens"] for each in flows["longest"]]) == (1, [True])
        bob.write(NEXT, mesh.document(ENDS, [PING]))
        flows = json.loads(bob.run(f"{DIFF} --json").stdout)["flows"]
        assert (flows["reopening"], [each["reopens"] for each in flows["longest"]]) == (0, [False])


def test_a_node_that_leaves_takes_its_flows_along(mesh: Mesh) -> None:
    warden = mesh.warden("bob")
    warden.enforce(mesh.document(ENDS, [PING]))
    mesh.succeed("alice", "bob", "icmp")
    warden.machine.write(NEXT, mesh.document({"bob": "tags: [b]"}, [IDLE]))
    found = json.loads(warden.machine.run(f"{DIFF} --json").stdout)
    assert [each["name"] for each in found["nodes"]["went"]] == ["alice"]
    assert {each["reason"] for each in found["flows"]["longest"]} == {"unknown-peer"}
    assert found["flows"]["cut"] >= 2, "a ping of each family"

    warden.enforce(mesh.document(ENDS, [LIVE]))
    warden.machine.write(NEXT, mesh.document(ENDS, [LIVE]))
    assert warden.machine.succeed(DIFF).startswith("nothing changes"), "they are dead already"


def test_where_nothing_is_in_force_there_is_nothing_to_compare_with(mesh: Mesh) -> None:
    bob = mesh.warden("bob").machine
    bob.write(NEXT, mesh.document(ENDS, [PING]))
    outcome = bob.run(DIFF)
    assert outcome.code == 2
    assert "no policy is in force on wg0" in outcome.stderr
    bob.succeed([sys.executable, "-c", TABLES_ALONE])
    assert "no policy is in force on wg0" in bob.run(DIFF).stderr
    bob.write("/run/strange.yaml", mesh.document({"alice": "tags: [a]"}, [IDLE]))
    mesh.enforce(mesh.document(ENDS, [PING]), "bob")
    outcome = bob.run("krait diff /run/strange.yaml --iface wg0")
    assert outcome.code == 2
    assert "no node has this interface's public key" in outcome.stderr


def test_a_document_that_is_not_kept_is_found_where_it_was_read(mesh: Mesh) -> None:
    bob = mesh.warden("bob").machine
    text = mesh.document(ENDS, [PING])
    mesh.enforce(text, "bob")
    bob.write(NEXT, text)
    bob.succeed("rm /var/lib/krait/wg0.yaml")
    assert bob.succeed(DIFF).startswith("nothing changes")
    bob.succeed('sed -i \'s/"sha256": "/&0/g\' /var/lib/krait/wg0.json')
    outcome = bob.run(DIFF)
    assert outcome.code == 3
    assert "which document is in force on wg0 is not known" in outcome.stderr
