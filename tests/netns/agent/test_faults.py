# SPDX-License-Identifier: Apache-2.0
"""What may fail around a living agent: disks, mounts, qdiscs, the kernel's messages, namespaces.

The filter stays true through all of it, the agent says what is wrong, and it mends itself.
"""

import json
import signal

import pytest

from krait.agent.steps import Attach, Pin
from krait.common.abi import ABI_VERSION
from krait.kernel.hook import Hook
from krait.kernel.seat import AttachKind
from tests.netns.agent.conftest import (
    BOTH_KINDS,
    OPEN_TCP,
    RULES,
    SHUT,
    Agent,
    Node,
)
from tests.netns.agent.test_interface import EMPTY, restore_routes
from tests.patience import wait_until

STATE = "/var/lib/krait"
OTHER = 82
OTHERWISE = RULES.replace(f"tcp/{OPEN_TCP}", f"tcp/{OTHER}")
"""The open port is shut now, and another one open."""

CLSACT_ONLY = pytest.mark.parametrize("kind", [AttachKind.CLSACT], indirect=True)


def faults(node: Node) -> list[str]:
    return [each["message"] for each in node.live()["faults"]]


def edit(node: Node, agent: Agent) -> None:
    """A revocation."""
    mark = agent.mark()
    node.write(node.document(OTHERWISE))
    agent.wait_for("commit /run", after=mark)


_REFUSALS = {
    "full": (
        f"head -c 1M /dev/zero >{STATE}/ballast; test -e {STATE}/ballast",
        f"rm {STATE}/ballast",
        "No space left on device",
    ),
    "read-only": (
        f"mount -o remount,ro {STATE}",
        f"mount -o remount,rw {STATE}",
        "Read-only file system",
    ),
}
"""Of a disk that refuses: how it comes to that, how it ends, and the kernel's words for it."""


@pytest.mark.parametrize("refusal", _REFUSALS)
def test_a_disk_that_takes_nothing_holds_up_no_revocation(node: Node, refusal: str) -> None:
    begin, end, words = _REFUSALS[refusal]
    node.machine.succeed(f"mount -t tmpfs -o size=32k,mode=0700 small {STATE}")
    try:
        agent = node.start()
        assert node.passes(OPEN_TCP)
        node.machine.succeed(begin)
        mark = agent.mark()
        edit(node, agent)
        assert node.drops_at(OPEN_TCP)
        assert node.passes(OTHER)
        agent.wait_for(f"cannot write {STATE}/wg0.json: {words}", after=mark)
        agent.wait_for(f"cannot write {STATE}/wg0.yaml: {words}", after=mark)
        node.wait_for_faults(2)
        node.machine.succeed(end)
        agent.wait_for("records: mended", after=mark)
        agent.wait_for("keeping: mended", after=mark)
        node.wait_for_faults(0)
        agent.process.kill()
        records = json.loads(node.machine.succeed(["cat", f"{STATE}/wg0.json"]))["commits"]
        assert [each["revision"] for each in records] == [2, 1]
        assert node.machine.succeed(["cat", f"{STATE}/wg0.yaml"]) == node.document(OTHERWISE)
    finally:
        node.machine.execute(["umount", "-l", STATE])


def test_a_status_that_cannot_be_written_is_written_once_it_can(node: Node) -> None:
    agent = node.start()
    node.wait_for_faults(0)  # its first status is written
    mark = agent.mark()
    node.machine.succeed("mkdir -p /run/krait && mount --bind /run/krait /run/krait")
    node.machine.succeed("mount -o remount,ro,bind /run/krait")
    try:
        edit(node, agent)
        agent.wait_for("cannot write /run/krait/wg0.json: Read-only", after=mark)
        assert node.live()["revision"] == 1
        assert node.drops_at(OPEN_TCP)
    finally:
        node.machine.succeed("umount -l /run/krait")
    agent.wait_for("status: mended", after=mark)
    wait_until(lambda: node.live()["revision"] == 2, node.live)
    node.wait_for_faults(0)


@BOTH_KINDS
def test_an_unmounted_bpf_file_system_takes_no_filter_off_and_is_used_again_when_it_is_back(
    node: Node,
) -> None:
    agent = node.start()
    assert node.drops_at(SHUT)
    mark = agent.mark()
    node.machine.succeed("umount /sys/fs/bpf")
    try:
        agent.wait_for("/sys/fs/bpf is not on a bpf file system", after=mark)
        node.wait_for_faults(1)
        assert node.passes(OPEN_TCP)
        edit(node, agent)  # what is loaded and attached takes commits as ever
        assert node.passes(OTHER)
        assert node.is_silent_at(OPEN_TCP)
    finally:
        node.machine.succeed("mount -t bpf -o mode=0700 bpf /sys/fs/bpf")
    agent.wait_for(str(Pin()), after=mark)
    agent.wait_for("enforcement: mended", after=mark)
    assert node.seats() == [(node.kind.value, [])] * 2
    agent.process.kill()
    agent.process.wait()
    assert node.drops_at(OPEN_TCP)
    assert node.passes(OTHER)


@CLSACT_ONLY
def test_a_qdisc_that_is_deleted_with_its_filters_is_back_within_a_second_or_so(node: Node) -> None:
    agent = node.start()
    mark = agent.mark()
    node.machine.succeed("tc qdisc delete dev wg0 clsact")
    for hook in Hook:
        agent.wait_for(str(Attach(hook)), after=mark)
    assert node.seats() == [("clsact", [])] * 2
    assert node.drops_at(SHUT)
    assert node.passes(OPEN_TCP)


@BOTH_KINDS
def test_a_burst_of_changes_that_the_kernel_could_not_tell_of_ends_in_what_is_true(
    node: Node,
) -> None:
    """The agent stands still meanwhile, so that its socket runs over."""
    agent = node.start()
    node.wait_for_faults(0)  # its start is through, whose errors would end it
    mark = agent.mark()
    agent.process.kill(signal.SIGSTOP)
    lines = [f"address {verb} 10.99.0.1/32 dev lo" for verb in ("add", "del")] * 5000
    node.machine.succeed(["ip", "-batch", "-"], stdin="\n".join([*lines, ""]))
    node.unplug()
    node.plug()
    agent.process.kill(signal.SIGCONT)
    agent.wait_for("wg0 appeared and is shut", after=mark)
    agent.wait_for("commit /run", after=mark)
    assert not [event for event in agent.events()[mark:] if event.startswith("cannot hear")]
    node.greet()
    assert node.passes(OPEN_TCP)
    assert node.drops_at(SHUT)
    mark = agent.mark()
    node.unplug()  # and it hears again
    agent.wait_for(EMPTY, after=mark)
    node.plug()
    agent.wait_for("commit /run", after=mark)
    node.greet()
    assert node.seats() == [(node.kind.value, [])] * 2


@BOTH_KINDS
@pytest.mark.parametrize("version", [ABI_VERSION - 1, ABI_VERSION + 1], ids=["older", "newer"])
def test_tables_of_another_version_enforce_until_ours_do_and_then_go(
    node: Node, version: int
) -> None:
    agent = node.start()
    agent.process.kill()
    agent.process.wait()
    node.machine.succeed(f"cd /sys/fs/bpf/krait/wg0 && mv {ABI_VERSION}-1 {version}-1")
    outcome = node.machine.run(["krait", "status", "wg0"])
    assert "another version of Krait made its tables" in outcome.stdout + outcome.stderr
    assert node.is_silent_at(SHUT)
    assert node.passes(OPEN_TCP)
    following = node.spawn()
    following.wait_for(f"remove tables {version}-1")
    swapped = [each for each in following.events() if each.startswith("swap")]
    assert len(swapped) == len(Hook)
    pins = node.machine.succeed("ls /sys/fs/bpf/krait/wg0").split()
    assert [each for each in pins if each[0].isdigit()] == [f"{ABI_VERSION}-2"]
    assert node.drops_at(SHUT)
    assert node.passes(OPEN_TCP)
    assert node.seats() == [(node.kind.value, [])] * 2


@BOTH_KINDS
def test_a_device_that_moves_to_another_namespace_is_told_with_what_became_of_its_filter(
    node: Node,
) -> None:
    agent, machine = node.start(), node.machine
    machine.succeed("ip netns add away")
    node.wait_for_faults(0)
    mark = agent.mark()
    machine.succeed("ip link set wg0 netns away")
    try:
        if node.kind is AttachKind.TCX:
            agent.wait_for("a device that was called wg0 was renamed or moved away", after=mark)
            agent.wait_for(EMPTY, after=mark)
        else:
            agent.wait_for("wg0 was moved to another network namespace", after=mark)
        node.wait_for_faults(1)
        there = machine.succeed(
            ["nsenter", "--net=/run/netns/away", "tc", "filter", "show", "dev", "wg0", "ingress"]
        )
        assert there == ""
        status = machine.run(["krait", "status", "wg0"])
        assert "moved" in status.stdout + status.stderr
    finally:
        machine.succeed("ip -n away link set wg0 netns 1 && ip netns delete away")
    mark = agent.mark()
    machine.succeed("ip link set wg0 up")
    agent.wait_for("elsewhere: mended")
    restore_routes(node)
    assert node.passes(OPEN_TCP)
    assert node.drops_at(SHUT)
    assert node.seats() == [(node.kind.value, [])] * 2
