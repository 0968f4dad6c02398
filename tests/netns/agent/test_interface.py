# SPDX-License-Identifier: Apache-2.0
"""Interfaces that are not there yet, go, and come back."""

from tests.netns.agent.conftest import ATTACHED, BOTH_KINDS, OPEN_TCP, SHUT, Node

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
    assert node.ask(OPEN_TCP, SHUT) == ["refused", "timeout"]
    mark = agent.mark()
    node.unplug()
    agent.wait_for(EMPTY, after=mark)
    mark = agent.mark()
    node.plug()
    agent.wait_for("commit /run", after=mark)
    assert_shut_then_opened(agent.events()[mark:])
    node.greet()
    assert node.ask(OPEN_TCP, SHUT) == ["refused", "timeout"]
    assert node.seats() == [(node.kind.value, [])] * 2
    assert not [pin for pin in pins(node) if pin.endswith("+")]


def pins(node: Node) -> list[str]:
    return node.machine.succeed(["ls", "/sys/fs/bpf/krait/wg0"]).split()


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
    node.greet()
    assert node.ask(OPEN_TCP, SHUT) == ["refused", "timeout"]
    assert node.live()["enforcing"]
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
