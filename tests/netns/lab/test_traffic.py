# SPDX-License-Identifier: Apache-2.0
import time
from collections.abc import Callable

import pytest

from krait.lab.machine import CommandFailed
from krait.lab.namespace import NamespaceMachine
from krait.lab.traffic import Flow, FlowReport, Protocol, Target, ask, serve
from tests.netns.flows import is_silent
from tests.patience import wait_until

Pair = tuple[NamespaceMachine, NamespaceMachine]
TICKS = 100  # sent in vain by both ends
ADDRESSES = ("192.0.2.2", "2001:db8::2")


@pytest.mark.parametrize("address", ADDRESSES)
def test_each_protocol_is_answered_where_something_listens(pair: Pair, address: str) -> None:
    left, right = pair
    serve(right, ADDRESSES, [22, 443])
    targets = [
        Target(Protocol.TCP, address, 22),
        Target(Protocol.TCP, address, 443),
        Target(Protocol.UDP, address, 22),
        Target(Protocol.ICMP, address),
        Target(Protocol.TCP, address, 80),
        Target(Protocol.UDP, address, 80),
    ]
    answers = ask({left: targets})[left]
    assert [answer.target for answer in answers] == targets
    assert [answer.answer for answer in answers] == ["ok"] * 4 + ["refused"] * 2
    assert [answer.ok for answer in answers] == [True] * 4 + [False] * 2


def test_many_machines_ask_at_once_and_each_gets_its_own_answers(pair: Pair) -> None:
    left, right = pair
    serve(right, ["192.0.2.2"], [80])
    to_right = [Target(Protocol.TCP, "192.0.2.2", 80)] * 3
    to_left = [Target(Protocol.TCP, "192.0.2.1", 80)]
    answers = ask({left: to_right, right: to_left})
    assert [answer.answer for answer in answers[left]] == ["ok"] * 3
    assert [answer.answer for answer in answers[right]] == ["refused"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_silence_is_a_timeout(pair: Pair, address: str) -> None:
    left, right = pair
    serve(right, ADDRESSES, [80])
    left.block()
    targets = [Target(protocol, address, 80) for protocol in Protocol]
    answers = ask({left: targets}, timeout_s=0.3)[left]
    assert [answer.answer for answer in answers] == ["timeout"] * 3


def test_no_route_is_told_by_its_errno(machine: NamespaceMachine) -> None:
    (answer,) = ask({machine: [Target(Protocol.UDP, "198.51.100.1", 80)]})[machine]
    assert answer.answer == "ENETUNREACH"


def test_a_port_that_is_taken_fails_the_server_with_its_words(machine: NamespaceMachine) -> None:
    serve(machine, ["127.0.0.1"], [80])
    with pytest.raises(CommandFailed) as caught:
        serve(machine, ["127.0.0.1"], [80])
    assert "address already in use" in str(caught.value)


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.UDP])
def test_a_flow_counts_both_directions_and_notes_when_each_was_cut(
    pair: Pair, protocol: Protocol, address: str
) -> None:
    left, right = pair
    with Flow(left, right, Target(protocol, address, 9000)) as flow:
        began = _wait_for(flow, lambda now: min(_received(now)) > 50)
        left.block()
        cut_ns = time.monotonic_ns()
        wait_until(lambda: is_silent(flow, TICKS), flow.report)
        cut = flow.report()
        assert cut.error == ""
        for direction in (cut.forward, cut.backward):
            assert began.forward.first_ns < direction.last_ns
            assert direction.first_ns < direction.last_sent_ns < direction.last_ns
            assert direction.last_sent_ns < cut_ns
            assert direction.sent > direction.received
        mended_ns = time.monotonic_ns()
        left.unblock()
        back = _wait_for(flow, lambda now: min(_received(now)) > max(_received(cut)) + 50)
        assert back.error == ""
        assert back.forward.longest_gap_ns > mended_ns - cut.forward.last_ns
        assert back.backward.longest_gap_ns > mended_ns - cut.backward.last_ns


def test_one_direction_of_a_udp_flow_goes_on_when_only_the_other_is_cut(pair: Pair) -> None:
    left, right = pair
    with Flow(left, right, Target(Protocol.UDP, "192.0.2.2", 9000)) as flow:
        _wait_for(flow, lambda now: min(_received(now)) > 50)
        right.succeed("ip route add blackhole 192.0.2.1/32 && ip route flush cache")

        def goes_on_one_way() -> bool:
            cut = flow.report()
            later = _wait_for(flow, lambda now: now.forward.received > cut.forward.received + 50)
            return later.backward.received == cut.backward.received

        wait_until(goes_on_one_way, flow.report)  # what was on its way is read first


def test_a_tcp_flow_that_breaks_says_so(pair: Pair) -> None:
    left, right = pair
    with Flow(left, right, Target(Protocol.TCP, "192.0.2.2", 9000)) as flow:
        assert flow.report().error == ""
        left.succeed("ss --kill --tcp dport = 9000")
        assert _wait_for(flow, lambda now: now.error != "").error


def test_a_tcp_flow_that_cannot_open_fails(pair: Pair) -> None:
    left, right = pair
    serve(right, ["192.0.2.2"], [9000])
    with pytest.raises(CommandFailed):
        Flow(left, right, Target(Protocol.TCP, "192.0.2.2", 9000))


def _received(report: FlowReport) -> tuple[int, int]:
    return report.forward.received, report.backward.received


def _wait_for(flow: Flow, condition: Callable[[FlowReport], bool]) -> FlowReport:
    found: list[FlowReport] = []

    def holds() -> bool:
        found.append(flow.report())
        return condition(found[-1])

    wait_until(holds, lambda: found[-1])
    return found[-1]
