# SPDX-License-Identifier: Apache-2.0
"""`krait rules` next to a real agent: counters that outlive commits, and agents."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from krait.lab.machine import Machine
from krait.lab.mesh import Lab, full_mesh
from tests.netns.scenarios.conftest import CONFIG, Mesh
from tests.patience import wait_until
from tests.requirements import KINDS

ENDS = {"alice": "tags: [a]", "bob": "tags: [b]"}
PING = "name: ping, from: a, to: b, ports: icmp"
DNS = "name: dns, from: a, to: b, ports: udp/53"
SSH = "name: ssh, from: a, to: b, ports: tcp/22"
BAN = "name: ban, from: a, to: b, ports: tcp/22, action: deny"
TRIAL = "name: trial, from: a, to: b, audit: true"


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    with Lab(full_mesh("alice", "bob")) as lab:
        yield Mesh(lab, KINDS[0])


def told(machine: Machine) -> dict[str, Any]:
    """Each rule by its name, and the default."""
    found = json.loads(machine.succeed("krait rules --json"))
    return {each["name"]: each for each in found["rules"]} | {"default": found["default"]}


def agent_of(machine: Machine) -> int | None:
    (found,) = json.loads(machine.run("krait status wg0 --json").stdout)["interfaces"]
    pid = found["agent"]["pid"]
    assert pid is None or isinstance(pid, int)
    return pid


def test_counters_go_by_name_through_commits_and_agents(mesh: Mesh) -> None:
    warden = mesh.warden("bob")
    bob = warden.machine
    warden.enforce(mesh.document(ENDS, [DNS, PING, SSH]))
    mesh.succeed("alice", "bob", "icmp")
    mesh.fail("alice", "bob", "tcp/81", drops={"bob": "denied"})
    before = told(bob)
    assert list(before) == ["dns", "ping", "ssh", "default"]
    assert before["ping"]["packets"] >= 4, "a ping of each family and its answer"
    assert before["ping"]["bytes"] > before["ping"]["packets"] * 20
    assert 0 <= before["ping"]["age_s"] < 60
    assert before["default"]["packets"] >= 2
    assert (before["dns"]["packets"], before["dns"]["age_s"]) == (0, None)

    warden.enforce(mesh.document(ENDS, [BAN, SSH, TRIAL, PING]))
    after = told(bob)
    assert list(after) == ["ban", "ssh", "trial", "ping", "default"]
    assert after["ping"]["packets"] == before["ping"]["packets"]
    assert after["ping"]["age_s"] >= before["ping"]["age_s"]
    assert after["ban"]["packets"] == 0
    assert (after["ssh"]["idle"], after["ssh"]["covering"]) == ("shadowed", ["ban"])
    assert after["trial"]["here"] is False
    assert after["trial"]["rehearsed"]["cuts"]["packets"] == 0

    pid = agent_of(bob)
    bob.succeed(f"kill -9 {pid}")
    wait_until(lambda: agent_of(bob) is None)
    assert told(bob)["ping"]["packets"] == before["ping"]["packets"]
    bob.spawn(["krait", "--iface", "wg0", "--config", CONFIG, "--attach", KINDS[0].value])
    wait_until(lambda: agent_of(bob) not in (None, pid))
    bob.wait_until_succeeds("krait status wg0 | grep -q 'wg0: enforcing'")
    assert told(bob)["ping"]["packets"] == before["ping"]["packets"]
    mesh.succeed("alice", "bob", "icmp")
    assert told(bob)["trial"]["rehearsed"]["same"]["packets"] >= 2
    assert told(bob)["ping"]["packets"] >= 2 * before["ping"]["packets"]
    assert told(bob)["ping"]["age_s"] < told(bob)["default"]["age_s"]


def test_the_unused_are_told_apart_and_answer_a_script(mesh: Mesh) -> None:
    warden = mesh.warden("bob")
    bob = warden.machine
    warden.enforce(mesh.document(ENDS, [PING, DNS]))
    mesh.succeed("alice", "bob", "icmp")
    outcome = bob.run("krait rules --iface wg0 --unused")
    assert outcome.code == 1
    head, names, dns = outcome.stdout.splitlines()
    assert head.startswith("wg0: revision ")
    assert names.split() == ["rule", "action", "packets", "bytes", "last", "hit"]
    assert dns.split() == ["dns", "allow", "0", "0", "B", "never"]
    warden.enforce(mesh.document(ENDS, [PING]))
    assert bob.succeed("krait rules --unused").startswith("every rule that concerns this node")
    text = bob.succeed("krait rules")
    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines()[2].split()[:2] == ["ping", "allow"]


def test_where_there_is_no_policy_there_are_no_rules_to_count(mesh: Mesh) -> None:
    bob = mesh.warden("bob").machine
    outcome = bob.run("krait rules")
    assert outcome.code == 2
    assert "Krait is on no interface of this network namespace" in outcome.stderr
    outcome = bob.run("krait rules --iface wg0")
    assert outcome.code == 2
    assert "no policy is in force on wg0" in outcome.stderr
    mesh.enforce(mesh.document(ENDS, [PING]), "bob")
    bob.wait_until_succeeds("rm /var/lib/krait/wg0.yaml")  # it is kept after the commit
    bob.succeed("echo >/run/wg/wg0.yaml")
    outcome = bob.run("krait rules")
    assert outcome.code == 3
    assert "which document is in force on wg0 is not known" in outcome.stderr
