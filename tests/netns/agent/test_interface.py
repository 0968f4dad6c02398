# SPDX-License-Identifier: Apache-2.0
"""Interfaces that are not there yet, go, and come back."""

from tests.netns.agent.conftest import ATTACHED, BOTH_KINDS, OPEN_TCP, SHUT, Node
from tests.patience import wait_until

EMPTY = "commit an empty slot"


def position(events: list[str], start: str) -> int:
    return next(place for place, event in enumerate(events) if event.startswith(start))


def assert_shut_then_opened(events: list[str]) -> None:
    """The filter came before the policy."""
    opened = position(events, "commit /run")
    assert all(position(events, event) < opened for event in ATTACHED)


@BOTH_KINDS
def test_an_interface_that_is_made_again_is_shut_until_its_policy_is_committed(
    node: Node,
) -> None:
    agent = node.start()
    assert node.passes(OPEN_TCP)
    assert node.drops_at(SHUT)
    mark = agent.mark()
    node.unplug()
    agent.wait_for(EMPTY, after=mark)
    mark = agent.mark()
    node.plug()
    agent.wait_for("commit /run", after=mark)
    assert_shut_then_opened(agent.events()[mark:])
    node.greet()
    assert node.passes(OPEN_TCP)
    assert node.drops_at(SHUT)
    assert node.seats() == [(node.kind.value, [])] * 2
    assert not [pin for pin in pins(node) if pin.endswith("+")]


def pins(node: Node) -> list[str]:
    return node.machine.succeed(["ls", "/sys/fs/bpf/krait/wg0"]).split()


def test_a_device_that_is_made_before_its_key_is_no_fault(node: Node) -> None:
    agent, machine = node.start(), node.machine
    configuration = machine.succeed(["wg", "showconf", "wg0"])
    mark = agent.mark()
    machine.succeed("wg set wg0 private-key /dev/null")
    node.unplug()
    agent.wait_for(EMPTY, after=mark)
    node.plug()
    agent.wait_for("wg0 has no key yet", after=mark)
    machine.succeed(["wg", "setconf", "wg0", "/dev/stdin"], stdin=configuration)
    agent.wait_for("commit /run", after=mark)
    assert {line["level"] for line in agent.log()[mark:]} == {"info"}
    node.greet()


@BOTH_KINDS
def test_an_agent_that_starts_before_the_interface_waits_armed(node: Node) -> None:
    node.unplug()
    node.write(node.document())
    agent = node.spawn()
    agent.wait_for("load tables")
    node.machine.wait_until_succeeds(["test", "-e", "/run/krait/wg0.json"])
    assert not node.live()["enforcing"]
    node.plug()
    agent.wait_for("commit /run")
    assert_shut_then_opened(agent.events())
    shut = agent.wait_for("wg0 appeared and is shut")["shut_after_ms"]
    print(f"{node.kind.value}: shut {shut} ms after the kernel told of it")  # noqa: T201
    node.greet()
    assert node.passes(OPEN_TCP)
    assert node.drops_at(SHUT)
    wait_until(lambda: node.live()["enforcing"], node.live)
    assert agent.stop() == 0


@BOTH_KINDS
def test_an_agent_that_finds_the_policy_of_a_deleted_interface_empties_it(node: Node) -> None:
    node.start().stop()
    node.unplug()
    agent = node.spawn()
    agent.wait_for(EMPTY)
    node.plug()
    agent.wait_for("commit /run")
    assert_shut_then_opened(agent.events())
    node.greet()


def device_seats(node: Node, name: str) -> list[str]:
    """Programs of Krait's on the ingress of a device, whatever attached them."""
    script = """
import sys
from socket import if_nametoindex
from krait.kernel import clsact
from krait.kernel.bpf.link import tcx_query
from krait.kernel.hook import Hook
index = if_nametoindex(sys.argv[1])
print(*(each.program_id for each in tcx_query(index, Hook.INGRESS)))
print(*(each.program_id for each in clsact.query(index, Hook.INGRESS) if each.ours))
"""
    return node.machine.succeed(["python", "-c", script, name]).split()


@BOTH_KINDS
def test_a_device_that_is_renamed_is_shut_and_comes_back_with_its_name(node: Node) -> None:
    agent = node.start()
    mark = agent.mark()
    node.machine.succeed("ip link set wg0 down && ip link set wg0 name old && ip link set old up")
    agent.wait_for("a device that was called wg0 was renamed or moved away", after=mark)
    agent.wait_for(EMPTY, after=mark)
    programs = device_seats(node, "old")
    before = node.drops().get("not-ready", 0)  # a device that goes up may speak by itself
    node.machine.execute(["ping", "-c", "5", "-i", "0.1", "-W", "1", "-I", "old", "10.8.0.1"])
    assert node.drops()["not-ready"] >= before + 5
    mark = agent.mark()
    node.machine.succeed("ip link set old down && ip link set old name wg0 && ip link set wg0 up")
    agent.wait_for("commit /run", after=mark)
    agent.wait_for("elsewhere: mended", after=mark)
    assert device_seats(node, "wg0") == programs
    restore_routes(node)
    assert node.passes(OPEN_TCP)
    assert node.drops_at(SHUT)


@BOTH_KINDS
def test_a_device_that_takes_the_name_of_another_leaves_it_its_filter(node: Node) -> None:
    agent = node.start()
    programs = device_seats(node, "wg0")
    mark = agent.mark()
    node.machine.succeed("ip link set wg0 down && ip link set wg0 name old && ip link set old up")
    agent.wait_for(EMPTY, after=mark)
    mark = agent.mark()
    node.machine.succeed("ip tuntap add dev wg0 mode tun && ip link set wg0 up")
    agent.wait_for("wg0 appeared and is shut", after=mark)
    assert device_seats(node, "old") == programs
    assert device_seats(node, "wg0") != []
    node.wait_for_faults(2)  # and a tun that is no WireGuard
    agent.stop()
    outcome = node.machine.run(["krait", "detach", "wg0"])
    assert "NOR IS the device that was called wg0 before" in outcome.stderr
    assert device_seats(node, "old") == device_seats(node, "wg0") == []
    node.machine.succeed("ip link delete wg0 && ip link set old down && ip link set old name wg0")
    node.machine.succeed("ip link set wg0 up")
    restore_routes(node)
    assert node.passes(SHUT)


def restore_routes(node: Node) -> None:
    """A device that is down loses its IPv6 addresses."""
    for address in node.lab.nodes["bob"].addresses:
        node.machine.execute(f"ip address replace {address} dev wg0")
    node.greet()
