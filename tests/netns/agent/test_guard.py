# SPDX-License-Identifier: Apache-2.0
"""`guard: true`: a host on bob's LAN, which has no key, and bob's address in the mesh."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from krait.agent.paths import Paths
from krait.common.guard import GUARD_VERSION, GuardReason
from krait.kernel.capability import NEEDED
from krait.kernel.guard import GuardLoad
from krait.kernel.seat import AttachKind
from krait.lab.cable import End
from krait.lab.namespace import NamespaceMachine
from krait.lab.traffic import Protocol, Target, ask
from tests.netns.agent.conftest import (
    BOB,
    BOTH_KINDS,
    OPEN_TCP,
    SHUT,
    SILENCE_S,
    Agent,
    Node,
)
from tests.netns.agent.test_privilege import confined, spawn
from tests.patience import wait_until

BOB6, ALICE = "fd7a:6b72::2", "10.8.0.1"
HERE, HERE6 = "198.51.100.1", "2001:db8:5::1"
SPOOFED = "10.8.0.77"
_SEND = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.bind(("{source}", 0))
    sender.sendto(b"x", ("{destination}", 9))
"""


class Lan:
    """A cable from bob to a host, whose routes lead to bob."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.host = node.lab.add("printer")
        self.lay("lan0", 100)
        for family, address, gateway in (("", BOB, HERE), ("-6 ", BOB6, HERE6), ("", ALICE, HERE)):
            self.host.succeed(f"ip {family}route add {address} via {gateway}")

    def lay(self, name: str, subnet: int) -> None:
        bob, host = (
            End(machine, name, (f"198.51.{subnet}.{number}/24", f"2001:db8:5::{number}/64"))
            for machine, number in ((self.node.machine, 1), (self.host, 2))
        )
        self.node.lab.wire(bob, host)

    def answer(self, address: str, timeout_s: float = SILENCE_S) -> str:
        (answer,) = ask({self.host: [Target(Protocol.TCP, address, SHUT)]}, timeout_s)[self.host]
        return answer.answer

    def reaches(self, *addresses: str) -> bool:
        """Whether TCP gets to bob at all of them, where nothing listens and so it is refused."""
        return {self.answer(each, 10.0) for each in addresses} == {"refused"}

    def send(self, source: str, destination: str) -> None:
        self.host.succeed(["python", "-c", _SEND.format(source=source, destination=destination)])


@pytest.fixture
def lan(node: Node) -> Iterator[Lan]:
    made = Lan(node)
    yield made
    made.host.crash()
    del node.lab.machines["printer"]


def guarded(node: Node, word: str = "true") -> str:
    return node.document().replace("policy:\n", f"policy:\n  guard: {word}\n")


def start(node: Node, *interfaces: str) -> Agent:
    agent = node.start(guarded(node))
    for each in interfaces:
        agent.wait_for(f"guard {each}")
    return agent


def drops(machine: NamespaceMachine) -> dict[GuardReason, int]:
    pins = Path(f"/proc/{machine.pid}/root") / Paths().pins_of("wg0").relative_to("/")
    with GuardLoad.open(pins / f"guard-{GUARD_VERSION}") as load:
        return {reason: count.packets for reason, count in load.drops.items()}


def status(node: Node) -> dict[str, Any]:
    (found,) = json.loads(node.machine.succeed("krait status wg0 --json"))["interfaces"]
    assert isinstance(found, dict)
    return found


def limits(node: Node) -> list[dict[str, Any]]:
    """What doctor says of ways past the tunnel."""
    found = json.loads(node.machine.run("krait doctor wg0 --json").stdout)["findings"]
    return [each for each in found if each["name"] in {"weak-host", "spoofing"}]


def moved(node: Node, reason: GuardReason, before: dict[GuardReason, int]) -> bool:
    return drops(node.machine).get(reason, 0) > before.get(reason, 0)


@BOTH_KINDS
def test_the_mesh_address_is_reached_past_the_tunnel_until_the_guard_drops_it(
    node: Node, lan: Lan
) -> None:
    agent = node.start()
    assert lan.reaches(HERE, HERE6, BOB, BOB6)
    mark = agent.mark()
    node.write(guarded(node))
    for name in ("lan0", "eth0"):
        agent.wait_for(f"guard {name}", after=mark)
    for address in (BOB, BOB6):
        before = drops(node.machine)
        assert lan.answer(address) == "timeout"
        assert moved(node, GuardReason.DESTINATION, before)
    assert lan.reaches(HERE, HERE6)
    told = status(node)
    assert told["condition"] == "enforcing", told["why"]
    assert told["guard"]["on"].keys() == {"lan0", "eth0"}
    assert told["guard"]["drops"]["destination"]["packets"] > 1
    assert {each["level"] for each in limits(node)} == {"ok"}
    assert node.passes(OPEN_TCP)
    node.greet()
    mark = agent.mark()
    node.write(guarded(node, "false"))
    agent.wait_for("remove the guard", after=mark)
    assert lan.reaches(BOB, BOB6)


@BOTH_KINDS
def test_what_poses_as_a_node_and_what_asks_for_one_is_dropped(node: Node, lan: Lan) -> None:
    start(node, "lan0")
    lan.host.succeed(f"ip address add {SPOOFED}/32 dev lan0")
    lan.send(SPOOFED, HERE)
    wait_until(lambda: moved(node, GuardReason.NEIGHBOUR, {}))
    mac = node.machine.succeed("cat /sys/class/net/lan0/address").strip()
    lan.host.succeed(f"ip neighbour replace {HERE} lladdr {mac} dev lan0")
    lan.send(SPOOFED, HERE)
    wait_until(lambda: moved(node, GuardReason.SOURCE, {}))
    lan.host.succeed(f"ip route replace {BOB} dev lan0 && ip -6 route replace {BOB6} dev lan0")
    for address in (BOB, BOB6):
        before = drops(node.machine)
        assert lan.answer(address) in {"timeout", "EHOSTUNREACH"}
        assert moved(node, GuardReason.NEIGHBOUR, before)


def test_a_host_of_the_lan_still_reaches_other_nodes_by_way_of_bob_who_judges_it(
    node: Node, lan: Lan
) -> None:
    start(node, "lan0")
    node.machine.succeed("echo 1 >/proc/sys/net/ipv4/ip_forward")
    before = node.drops().get("unknown-source", 0)
    assert lan.answer(ALICE) in {"timeout", "EHOSTUNREACH"}
    assert node.drops()["unknown-source"] > before
    node.machine.succeed("echo 0 >/proc/sys/net/ipv4/ip_forward")


@BOTH_KINDS
def test_it_outlives_the_agent_comes_to_new_interfaces_and_goes_with_krait(
    node: Node, lan: Lan
) -> None:
    first = start(node, "lan0")
    first.process.kill(signal.SIGKILL)
    first.process.wait()
    assert lan.answer(BOB) == "timeout"
    second = node.spawn()
    second.wait_for("commit")
    assert lan.answer(BOB) == "timeout"
    assert "load the guard" not in " ".join(second.events())
    lan.lay("lan1", 101)
    second.wait_for("guard lan1")
    lan.host.succeed(f"ip route replace {BOB} via 198.51.101.1")
    assert lan.answer(BOB) == "timeout"
    second.stop()
    outcome = node.machine.run(["krait", "detach", "wg0"])
    assert outcome.code == 0, outcome.stderr
    assert lan.reaches(BOB)
    node.machine.fail(["test", "-e", "/sys/fs/bpf/krait"])
    for device in ("lan0", "lan1", "eth0"):
        node.machine.fail(f"tc qdisc show dev {device} | grep clsact")


@pytest.mark.usefixtures("lan")
def test_one_that_somebody_removed_with_the_agent_dead_is_missed_by_the_word_of_the_document(
    node: Node,
) -> None:
    agent = start(node, "lan0")
    agent.process.kill(signal.SIGKILL)
    agent.process.wait()
    assert status(node)["condition"] == "enforcing"
    node.machine.succeed("rm -r /sys/fs/bpf/krait/wg0/guard*")
    told = status(node)
    none = "the document wants a guard, and there is none"
    assert (told["condition"], told["why"], told["guard"]) == ("degraded", none, None)
    (weak,) = (each for each in limits(node) if each["name"] == "weak-host")
    assert weak["level"] == "warn"
    assert "the guard should be there: krait status wg0" in weak["hint"].lower()


@BOTH_KINDS
def test_three_capabilities_do_for_it_and_for_its_end(node: Node, lan: Lan) -> None:
    node.unplug()
    node.plug()  # a userspace WireGuard with no more capabilities than the agent has
    node.greet()
    node.write(guarded(node))
    agent = spawn(node)
    agent.wait_for("guard lan0")
    assert lan.answer(BOB) == "timeout"
    assert agent.stop() == 0
    outcome = node.machine.run(f"{confined(*NEEDED)}krait detach wg0")
    assert outcome.code == 0, outcome.stderr
    assert "through other interfaces, too: the guard is off" in outcome.stderr
    assert lan.reaches(BOB)


def test_a_network_of_the_host_in_the_range_is_told_of(node: Node, lan: Lan) -> None:
    lan.node.machine.succeed("ip address add 10.8.0.65/27 dev lan0")
    agent = start(node, "lan0")
    told = agent.wait_for("inside of the mesh's range, and cut off by the guard: lan0 has")
    assert told["subject"] == "cut off"


@BOTH_KINDS
def test_a_guard_that_another_tool_takes_off_is_put_back(node: Node, lan: Lan) -> None:
    agent = start(node, "lan0")
    mark = agent.mark()
    node.machine.succeed(
        "rm /sys/fs/bpf/krait/wg0/guard_*"
        if node.kind is AttachKind.TCX
        else "tc filter delete dev lan0 ingress"
    )
    agent.wait_for("guard lan0", after=mark)
    assert lan.answer(BOB) == "timeout"
