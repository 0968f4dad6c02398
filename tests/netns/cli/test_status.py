# SPDX-License-Identifier: Apache-2.0
"""`krait status` next to a real agent: alive, dead, overtaken, and on interfaces without one."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from krait.kernel.filter import supported_kind
from krait.kernel.seat import AttachKind
from krait.lab.machine import Process
from krait.lab.mesh import Lab, full_mesh
from krait.lab.namespace import NamespaceMachine
from tests.requirements import cannot_run

DOCUMENT = "/run/wg0.yaml"
FIRST = {"first": True, "ahead": []}


TAKE_OFF = {
    AttachKind.TCX: "rm /sys/fs/bpf/krait/wg0/link_",
    AttachKind.CLSACT: "tc filter del dev wg0 ",
}


@pytest.fixture(params=AttachKind, ids=lambda kind: kind.value)
def kind(request: pytest.FixtureRequest) -> AttachKind:
    """Each way to attach, where this kernel knows it."""
    wanted = AttachKind(request.param)
    if wanted is AttachKind.TCX and supported_kind() is not AttachKind.TCX:
        cannot_run("this kernel has no TCX links: run Linux 6.6 or newer")
    return wanted


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(full_mesh("x", "y")) as lab:
        yield lab


def status(machine: NamespaceMachine) -> dict[str, Any]:
    """What is told of wg0; exit code 0."""
    (found,) = json.loads(machine.succeed("krait status wg0 --json"))["interfaces"]
    assert isinstance(found, dict)
    return found


def enforce(machine: NamespaceMachine, *options: str) -> Process:
    """An agent whose first commit is in force: nothing but ICMP may open."""
    machine.succeed(
        "krait init wg0 | sed '/tests:/,$d; s/name: allow-all,/& ports: [icmp],/'"
        f" >{DOCUMENT} && krait check {DOCUMENT}"
    )
    agent = machine.spawn(["krait", "--iface", "wg0", "--config", DOCUMENT, *options])
    machine.wait_until_succeeds("krait status wg0 | grep -q 'wg0: enforcing'")
    return agent


def test_an_agent_that_died_leaves_names_and_numbers_behind(lab: Lab, kind: AttachKind) -> None:
    x = lab["x"]
    agent = enforce(x, "--attach", kind.value)
    alive = status(x)
    assert alive["agent"]["pid"] > 0
    assert alive["hooks"] == {
        hook: [FIRST | {"kind": kind.value}] for hook in ("ingress", "egress")
    }
    assert alive["wireguard"] == ("userspace" if lab.userspace else "kernel")

    agent.kill()
    agent.wait()
    x.succeed("ping -c1 -W20 10.8.0.2")
    dead = status(x)
    assert dead["condition"] == "enforcing"
    assert dead["agent"]["pid"] is None
    assert dead["policy"] == alive["policy"]
    assert dead["policy"]["document"] == DOCUMENT
    assert dead["rules"]["allow-all"]["packets"] >= 2
    (peer,) = dead["peers"]
    assert (peer["name"], peer["tags"], peer["identity"]) == ("peer1", ["mesh"], 256)
    assert peer["endpoint"] == "192.0.2.2:51820"
    assert peer["latest_handshake_s"] > 0


def test_drops_are_told_by_reason_and_by_peer(lab: Lab) -> None:
    x = lab["x"]
    enforce(x)
    before = status(x)
    lab["y"].execute(["bash", "-c", "echo x >/dev/udp/10.8.0.1/7"])
    x.wait_until_succeeds("krait status wg0 | grep -q denied")
    after = status(x)
    assert after["drops"]["denied"]["packets"] == 1
    assert before["peers"][0]["dropped"]["packets"] == 0
    assert after["peers"][0]["dropped"]["packets"] == 1
    text = x.succeed("krait status")
    assert "The policy denies this flow" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


def test_a_record_of_another_revision_gives_no_names(lab: Lab) -> None:
    x = lab["x"]
    agent = enforce(x)
    agent.kill()
    agent.wait()
    x.succeed("sed -i 's/\"revision\": /&9/g' /var/lib/krait/wg0.json")
    found = status(x)
    assert found["condition"] == "enforcing"
    assert found["policy"]["named"] is False
    assert [each["name"] for each in found["peers"]] == [None]
    assert "its numbers have no names" in " ".join(x.succeed("krait status wg0").split())


def test_the_error_of_a_document_that_was_refused_is_told(lab: Lab) -> None:
    x = lab["x"]
    enforce(x)
    before = status(x)["policy"]
    x.write(DOCUMENT, "nodes: {}\n")
    x.wait_until_succeeds("krait status wg0 | grep -q error")
    found = status(x)
    assert found["policy"] == before
    assert f"{DOCUMENT}:1:" in found["agent"]["faults"][0]["message"]


def test_a_filter_taken_off_with_no_agent_alive_is_no_enforcement(
    lab: Lab, kind: AttachKind
) -> None:
    x = lab["x"]
    agent = enforce(x, "--attach", kind.value)
    agent.kill()
    agent.wait()
    x.succeed(f"{TAKE_OFF[kind]}egress")
    outcome = x.run(["krait", "status", "wg0"])
    assert outcome.code == 1
    assert "nothing is judged on egress" in outcome.stdout
    doctor = x.run(["krait", "doctor", "wg0"])
    assert doctor.code == 3
    assert "filter is gone from egress" in " ".join(doctor.stdout.split())
    x.succeed(f"{TAKE_OFF[kind]}ingress")
    outcome = x.run(["krait", "status"])
    assert outcome.code == 1
    assert "wg0: not enforcing" in outcome.stdout
    assert "every packet passes" in outcome.stdout
    assert "stays in force" not in outcome.stdout
    assert "(not attached)" in outcome.stdout


def test_an_agent_that_waits_for_its_interface_waits_with_nothing_passing(lab: Lab) -> None:
    x = lab["x"]
    enforce(x)
    x.succeed("ip link del wg0")
    x.wait_until_succeeds("krait status wg0 --json | grep -q '\"waiting\"'")
    assert "no such interface yet" in " ".join(x.succeed("krait status").split())


def test_a_machine_without_krait_enforces_nothing(lab: Lab) -> None:
    outcome = lab["y"].run(["krait", "status"])
    assert (outcome.code, outcome.stdout) == (
        1,
        "nothing enforces: Krait is on no interface of this machine\n",
    )
    outcome = lab["y"].run(["krait", "status", "wg0"])
    assert outcome.code == 1
    assert outcome.stdout.startswith("wg0: not enforcing\n  every packet passes")


def test_a_user_without_privileges_is_told_which_are_missing(lab: Lab) -> None:
    outcome = lab["y"].run("setpriv --reuid=65534 --clear-groups krait status")
    assert outcome.code == 3
    assert "this process lacks CAP_NET_ADMIN" in outcome.stderr
    assert "Run it as root" in outcome.stderr


def test_a_userspace_wireguard_whose_socket_is_out_of_sight_is_told(lab: Lab) -> None:
    if not lab.userspace:
        cannot_run("this kernel has WireGuard, which has no socket")
    enforce(lab["x"])
    hidden = "unshare --mount sh -c 'mount -t tmpfs none /run/wireguard && krait status wg0 --json'"
    outcome = lab["x"].run(hidden)
    assert outcome.code == 0
    (found,) = json.loads(outcome.stdout)["interfaces"]
    assert found["condition"] == "enforcing"
    assert "nobody answers at /var/run/wireguard/wg0.sock" in found["unseen"]["hint"]
