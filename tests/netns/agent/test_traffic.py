# SPDX-License-Identifier: Apache-2.0
"""What live flows see of an agent: nothing while they are allowed, and their end when they are not.

How late the last packet is read is printed only, for the machine may be busy. What is asserted is
that nothing came through which was sent after the commit.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from krait.agent.steps import Swap
from krait.kernel.hook import Hook
from krait.lab.traffic import Direction, Flow, FlowReport, Protocol, Target
from tests.netns.agent.conftest import (
    BOB,
    BOTH_KINDS,
    OPEN_TCP,
    OPEN_UDP,
    RULES,
    SHUT,
    Node,
)
from tests.netns.flows import is_silent
from tests.patience import wait_until

TICKS = 100  # of a flow that goes nowhere: both ends have sent so many in vain
REVOKED = RULES.replace("tcp/80, udp/53", "tcp/82")


@contextmanager
def flow(node: Node, protocol: Protocol, port: int, sender: str = "alice") -> Iterator[Flow]:
    target = Target(protocol, BOB, port)
    with Flow(node.lab[sender], node.machine, target) as live:
        yield live


def directions(report: FlowReport) -> tuple[Direction, Direction]:
    return report.forward, report.backward


def assert_goes_on(live: Flow) -> FlowReport:
    """Both directions receive what was sent after now."""
    since_ns = time.monotonic_ns()

    def has_gone_on() -> bool:
        found = live.report()
        assert not found.error
        return all(way.last_sent_ns > since_ns for way in directions(found))

    wait_until(has_gone_on, live.report)
    return live.report()


def assert_silent(live: Flow) -> None:
    """Neither direction receives while both send, once what was on its way has been read."""
    wait_until(lambda: is_silent(live, TICKS), live.report)


@BOTH_KINDS
def test_a_live_mesh_is_adopted_without_cutting_what_the_policy_allows(node: Node) -> None:
    with flow(node, Protocol.TCP, OPEN_TCP) as tcp, flow(node, Protocol.UDP, OPEN_UDP) as udp:
        for live in (tcp, udp):
            assert_goes_on(live)
        node.start()
        for live in (tcp, udp):
            assert_goes_on(live)
    assert "not-ready" not in node.drops()
    assert node.drops_at(SHUT)
    assert node.drops()["denied"] > 0


@BOTH_KINDS
def test_an_edit_cuts_a_live_flow_in_both_directions_within_milliseconds(node: Node) -> None:
    agent = node.start()
    with flow(node, Protocol.TCP, OPEN_TCP) as tcp, flow(node, Protocol.UDP, OPEN_UDP) as udp:
        for live in (tcp, udp):
            assert_goes_on(live)
        denied, mark = node.drops().get("denied", 0), agent.mark()
        node.write(node.document(REVOKED))
        stored_ns = agent.wait_for("commit", after=mark)["stored_ns"]
        for live, name in ((tcp, "tcp"), (udp, "udp")):
            assert_silent(live)
            for way, label in zip(directions(live.report()), ("forward", "backward"), strict=True):
                late_s = (way.last_ns - stored_ns) / 1e9
                print(f"{name} {label}: {late_s * 1e6:.0f} us after the store")  # noqa: T201
                assert way.first_ns
                assert way.last_sent_ns <= stored_ns
    assert node.drops()["denied"] > denied


@BOTH_KINDS
def test_a_killed_agent_leaves_its_policy_and_the_next_goes_on_from_it(node: Node) -> None:
    first = node.start()
    with flow(node, Protocol.UDP, OPEN_UDP) as udp, flow(node, Protocol.TCP, OPEN_TCP) as tcp:

        def assert_both_go_on() -> None:
            for live in (udp, tcp):
                assert_goes_on(live)

        assert_both_go_on()
        first.process.kill(signal.SIGKILL)
        first.process.wait()
        node.write(node.document(REVOKED))  # nobody is there to read it
        assert node.drops_at(SHUT, OPEN_TCP + 2)
        assert_both_go_on()
        assert node.drops()["denied"] > 0
        node.write(node.document())
        second = node.spawn()
        assert second.wait_for("commit")["revision"] == 2
        assert_both_go_on()
        assert not [each for each in second.events() if each.startswith(("attach", "load"))]
        second.process.kill(signal.SIGKILL)
        second.process.wait()
        node.write(node.document(REVOKED))
        assert_both_go_on()
        assert node.spawn().wait_for("commit")["revision"] == 3
        for live in (udp, tcp):
            assert_silent(live)


@BOTH_KINDS
def test_tables_that_grow_keep_live_flows(node: Node) -> None:
    agent = node.start()
    # Replies of UDP pass by their flow alone: they would end with the flow table.
    with flow(node, Protocol.UDP, OPEN_UDP) as udp, flow(node, Protocol.TCP, OPEN_TCP) as tcp:
        for live in (udp, tcp):
            assert_goes_on(live)
        mark = agent.mark()
        many = "".join(f"  n{i}: {{via: alice, tags: [t{i}]}}\n" for i in range(40))
        text = node.document(more=many).replace("tags: [a]", "tags: [a], transit: true")
        node.write(text)
        agent.wait_for("remove tables", after=mark)
        for hook in Hook:
            agent.wait_for(str(Swap(hook)), after=mark)
        for live in (udp, tcp):
            now = assert_goes_on(live)
            print(f"longest gap {now.backward.longest_gap_ns / 1e6:.1f} ms")  # noqa: T201
    assert "no-flow" not in node.drops()
    assert agent.stop() == 0
