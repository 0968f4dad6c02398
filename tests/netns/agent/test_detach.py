# SPDX-License-Identifier: Apache-2.0
"""`krait detach`: nothing is left, and it says so."""

from tests.netns.agent.conftest import BOTH_KINDS, OPEN_TCP, SHUT, Node

_LEFT = "test ! -e /sys/fs/bpf/krait && find /run/krait /var/lib/krait -mindepth 1"
_QDISC = "tc qdisc show dev wg0 | grep clsact"


@BOTH_KINDS
def test_nothing_is_left_and_what_is_open_now_is_told(node: Node) -> None:
    node.start().stop()
    assert node.drops_at(SHUT)
    outcome = node.machine.run(["krait", "detach", "wg0"])
    assert outcome.code == 0
    assert "wg0 IS NOT PROTECTED ANY MORE" in outcome.stderr
    assert node.machine.succeed(_LEFT) == ""
    assert node.seats() == []
    node.machine.fail(_QDISC)
    assert node.passes(SHUT, OPEN_TCP)


def test_a_living_agent_is_named_and_nothing_is_taken_off(node: Node) -> None:
    node.start()
    outcome = node.machine.run(["krait", "detach", "wg0"])
    assert outcome.code == 3
    pid = node.machine.succeed("cat /run/krait/wg0.lock").strip()
    assert f"an agent keeps wg0 (pid {pid})" in outcome.stderr
    assert f"kill {pid}" in outcome.stderr
    assert len(node.seats()) == 2


@BOTH_KINDS
def test_an_interface_that_is_gone_is_no_hindrance(node: Node) -> None:
    node.start().stop()
    node.unplug()
    outcome = node.machine.run(["krait", "detach", "wg0"])
    assert outcome.code == 0
    assert "there is no interface wg0 now" in outcome.stderr
    assert node.machine.succeed(_LEFT) == ""


def test_filters_of_others_and_their_qdisc_stay(node: Node) -> None:
    node.machine.succeed(
        "tc qdisc add dev wg0 clsact"
        " && tc filter add dev wg0 egress pref 9 protocol all u32 match u32 0 0"
    )
    node.start().stop()
    outcome = node.machine.run(["krait", "detach", "wg0"])
    assert "the clsact qdisc of wg0 stays" in outcome.stderr
    assert "u32" in node.machine.succeed("tc filter show dev wg0 egress")
    node.machine.succeed("tc qdisc delete dev wg0 clsact")


def test_where_there_is_nothing_that_is_what_it_says(node: Node) -> None:
    outcome = node.machine.run(["krait", "detach", "wg0", "--json"])
    assert outcome.code == 0
    assert '"something_was_removed": false' in outcome.stdout
    assert outcome.stderr == ""
