# SPDX-License-Identifier: Apache-2.0
"""What a user without privileges, or another tool, can put in Krait's way, and how far it gets."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.netns.agent.conftest import ATTACHED, CONFIG, OPEN_TCP, SHUT, Node

SYSTEM, USAGE = 3, 2
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c"]

_POSE = """
from krait.kernel import clsact
from krait.kernel.bpf.program import load_instructions
from krait.kernel.hook import Hook
from krait.kernel.link import observe_link
allow = load_instructions(bytes.fromhex("b700000000000000" "9500000000000000"))
for hook in Hook:
    clsact.replace(observe_link("wg0").ifindex, hook, allow)
"""


@contextmanager
def plain_bpffs(node: Node) -> Iterator[None]:
    """A bpf file system as `mount -t bpf bpf /sys/fs/bpf` makes it: for everybody to write to."""
    node.machine.succeed("mount -t bpf bpf /sys/fs/bpf && test $(stat -c %a /sys/fs/bpf) = 1777")
    try:
        yield
    finally:
        for agent in node.agents:
            agent.process.kill_all()
        node.machine.succeed("umount /sys/fs/bpf")


def test_a_pin_folder_that_somebody_else_made_first_is_refused_with_the_mend(node: Node) -> None:
    node.write(node.document())
    with plain_bpffs(node):
        node.machine.succeed([*NOBODY, "umask 0; mkdir -p /sys/fs/bpf/krait/wg0"])
        for command in (f"krait --iface wg0 --config {CONFIG}", "krait detach wg0"):
            outcome = node.machine.run(command)
            assert outcome.code == SYSTEM
            assert "/sys/fs/bpf/krait belongs to user 65534" in " ".join(outcome.stderr.split())
            assert "rm -r /sys/fs/bpf/krait" in outcome.stderr
        found = json.loads(node.machine.run("krait doctor --json").stdout)["findings"]
        assert [each["level"] for each in found if each["name"] == "bpffs"] == ["fail"]
        node.machine.succeed("rm -r /sys/fs/bpf/krait")
        node.start()
    assert node.passes(SHUT)  # its pins went with the file system


def test_nobody_else_takes_the_filter_off_where_everybody_may_write(node: Node) -> None:
    with plain_bpffs(node):
        node.start().process.kill(signal.SIGKILL)
        node.agents[-1].process.wait()
        link = "/sys/fs/bpf/krait/wg0/link_ingress"
        node.machine.fail([*NOBODY, f"rm -f {link} || mv /sys/fs/bpf/krait /sys/fs/bpf/away"])
        node.machine.succeed(["test", "-e", link])
        assert node.passes(OPEN_TCP)
        assert node.drops_at(SHUT)
        found = json.loads(node.machine.run("krait doctor --json").stdout)["findings"]
        assert [each["hint"] for each in found if each["name"] == "bpffs"] == [
            "chmod 0700 /sys/fs/bpf"
        ]
        node.machine.succeed("mkdir -p /sys/fs/bpf/krait/wg0/1-77/krait_ingress")
        outcome = node.machine.run("krait detach wg0")
        assert outcome.code == 0
        assert "/sys/fs/bpf/krait/wg0/1-77 stays" in " ".join(outcome.stderr.split())


def test_nobody_else_locks_the_agent_out(node: Node) -> None:
    node.start().stop()
    node.machine.fail([*NOBODY, "flock --nonblock --shared /run/krait/wg0.lock true"])


def test_an_interface_goes_by_its_name_alone(node: Node) -> None:
    node.write(node.document())
    node.machine.succeed("ip link property add dev wg0 altname other0")
    try:
        outcome = node.machine.run(f"krait --iface other0 --config {CONFIG}")
        assert outcome.code == USAGE
        assert "other0 is only another name of the interface wg0" in outcome.stderr
        assert node.seats() == []
    finally:
        node.machine.succeed("ip link property del dev wg0 altname other0; krait detach other0")


def test_another_program_under_our_filters_name_is_not_taken_for_ours(node: Node) -> None:
    node.write(node.document())
    agent = node.spawn("--attach", "clsact")
    for event in ATTACHED:
        agent.wait_for(event)
    agent.process.kill(signal.SIGKILL)
    agent.process.wait()
    node.machine.succeed(["python", "-c", _POSE])
    outcome = node.machine.run("krait status wg0 --json")
    assert outcome.code == 1
    (told,) = json.loads(outcome.stdout)["interfaces"]
    assert (told["condition"], told["enforced"]) == ("not enforcing", False)
    assert node.passes(SHUT)
