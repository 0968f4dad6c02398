# SPDX-License-Identifier: Apache-2.0
"""What an agent refuses to start with: each with a message, its mend and an exit code, and with
nothing attached.
"""

import pytest

from krait.kernel.seat import AttachKind
from krait.lab.machine import Outcome
from krait.lab.tunnel import make_interface
from tests.documents import key
from tests.netns.agent.conftest import CONFIG, OPEN_TCP, SHUT, Node
from tests.patience import wait_until
from tests.requirements import NEEDS_TCX

USAGE, SYSTEM = 2, 3
AGENT = f"krait --iface wg0 --config {CONFIG}"


def refused(node: Node, command: str) -> Outcome:
    """How a command ended that must not attach anything."""
    outcome = node.machine.run(command)
    assert node.seats() == []
    assert "Traceback" not in outcome.stderr
    return outcome


@pytest.mark.parametrize(
    ("command", "code", "message", "hint"),
    [
        (
            "krait --iface wg0",
            USAGE,
            "no document for wg0: looked for /etc/krait/wg0.yaml, /etc/krait/krait.yaml",
            "krait init wg0 >FILE && install -D -m 600 FILE /etc/krait/wg0.yaml",
        ),
        ("krait --iface wg0 --config /run/none", USAGE, "cannot read /run/none", "krait init wg0"),
        (
            AGENT.replace("wg0", "eth0", 1),
            USAGE,
            "eth0 is not a WireGuard interface",
            "wg show interfaces",
        ),
        (AGENT.replace("wg0", "no/name", 1), USAGE, "not the name of an interface", "1 to 15"),
        (
            f"setpriv --bounding-set=-bpf,-perfmon --inh-caps=-bpf,-perfmon {AGENT}",
            SYSTEM,
            "lacks CAP_BPF, CAP_PERFMON",
            "root",
        ),
        (
            f"unshare --mount sh -c 'umount /sys/fs/bpf && {AGENT}'",
            SYSTEM,
            "the bpf file system is not visible here",
            "nsenter -t 1 -m krait",
        ),
    ],
    ids=["no document", "no such file", "eth0", "no name", "capabilities", "bpffs"],
)
def test_what_is_missing_is_named_with_its_mend(
    node: Node, command: str, code: int, message: str, hint: str
) -> None:
    node.write(node.document())
    outcome = refused(node, command)
    assert outcome.code == code
    assert message in " ".join(outcome.stderr.split())
    assert hint in outcome.stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("nodes:", "interface: wg1\nnodes:", "this agent keeps wg0"),
        ("from: a", "from: nobody", "nobody"),
        ("nodes:", "node: alice\nnodes:", "the interface's public key is that of bob"),
    ],
    ids=["another interface", "unknown tag", "another node"],
)
def test_a_document_that_cannot_be_used_starts_nothing(
    node: Node, old: str, new: str, message: str
) -> None:
    node.write(node.document().replace(old, new, 1))
    outcome = refused(node, AGENT)
    assert outcome.code == USAGE
    assert message in outcome.stderr


def test_a_document_that_does_not_name_this_node_starts_nothing(node: Node) -> None:
    text = node.document().replace(node.lab.public_key("bob"), key(9))
    node.write(text)
    outcome = refused(node, AGENT)
    assert outcome.code == USAGE
    assert "no node has this interface's public key" in outcome.stderr


def test_without_an_interface_and_with_a_bad_document_there_is_nothing_to_wait_with(
    node: Node,
) -> None:
    node.write("nodes: [")
    outcome = refused(node, AGENT.replace("wg0", "wg9", 1))
    assert outcome.code == USAGE


def test_the_second_agent_on_an_interface_is_told_of_the_first(node: Node) -> None:
    node.start()
    outcome = node.machine.run(AGENT)
    assert outcome.code == SYSTEM
    pid = node.machine.succeed("cat /run/krait/wg0.lock").strip()
    assert f"another agent keeps wg0 (pid {pid})" in outcome.stderr
    assert f"kill {pid}" in outcome.stderr


def test_a_bad_document_at_the_start_leaves_the_policy_of_an_earlier_agent_in_force(
    node: Node,
) -> None:
    node.start().stop()
    node.write(node.document().replace("from: a", "from: nobody"))
    agent = node.spawn()
    agent.wait_for("/run/wg/wg0.yaml:")
    assert node.passes(OPEN_TCP)
    assert node.drops_at(SHUT)
    node.wait_for_faults(1)
    wait_until(lambda: node.live()["enforcing"], node.live)
    node.write(node.document())
    assert agent.wait_for("commit")["revision"] == 2
    node.wait_for_faults(0)


def test_a_document_that_is_deleted_or_in_a_folder_that_is_switched_is_noticed(
    node: Node,
) -> None:
    node.start().stop()
    machine, config = node.machine, "/run/wg/cur/k.yaml"
    machine.succeed("mkdir -p /run/wg/one /run/wg/two && ln -s one /run/wg/cur")
    machine.write("/run/wg/one/k.yaml", node.document())
    machine.write("/run/wg/two/k.yaml", node.document().replace("tcp/80", "tcp/81"))
    agent = node.spawn_on("wg0", config, "--attach", node.kind.value)
    agent.wait_for("commit")
    mark = agent.mark()
    machine.succeed("rm /run/wg/one/k.yaml")
    missing = agent.wait_for(f"cannot read {config}", after=mark)
    assert "restore it" in missing["hint"]
    assert "krait init" not in missing["hint"]
    assert node.passes(OPEN_TCP)
    assert node.drops_at(SHUT)
    machine.succeed("ln -s two /run/wg/new && mv -T /run/wg/new /run/wg/cur")
    agent.wait_for("commit", after=mark)
    assert node.passes(SHUT)
    assert node.drops_at(OPEN_TCP)
    node.wait_for_faults(0)


def test_a_name_with_a_dot_is_a_name(node: Node) -> None:
    machine, name = node.machine, "wg0.100"
    make_interface(machine, name)
    machine.succeed(f"wg genkey > /run/key && wg set {name} private-key /run/key")
    machine.succeed(f"krait init {name} > /run/{name}.yaml")
    agent = node.spawn_on(name, f"/run/{name}.yaml")
    agent.wait_for("attach to egress")
    assert agent.stop() == 0
    assert machine.succeed("ls /sys/fs/bpf/krait").split() == ["wg0%2e100"]
    machine.succeed(["krait", "detach", name])
    assert machine.succeed("test ! -e /sys/fs/bpf/krait && ls /var/lib/krait") == ""
    machine.succeed(["ip", "link", "delete", name])


@NEEDS_TCX
def test_tcx_is_the_choice_of_a_kernel_that_has_it(node: Node) -> None:
    node.write(node.document())
    agent = node.spawn("--attach", "auto")
    agent.wait_for("attach to egress")
    assert [kind for kind, _ in node.seats()] == [AttachKind.TCX.value] * 2
