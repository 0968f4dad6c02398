# SPDX-License-Identifier: Apache-2.0
"""Flows that packets opened in the running kernel, read back from its table."""

from collections.abc import Iterator
from ipaddress import ip_address
from struct import pack

import pytest

from krait.common import abi
from krait.common.abi import FLOW_TIMEOUT_S, FlowState
from krait.common.reason import Reason
from krait.common.structs import FLOW
from krait.kernel.bpf.clock import TickClock, ticks_per_second
from krait.kernel.bpf.map import CHUNK
from krait.kernel.bpf.testrun import ethernet
from krait.kernel.flows import LiveFlow
from krait.kernel.hook import Hook
from krait.policy.flow import FlowTuple
from krait.policy.model import ICMP4, TCP, UDP
from tests.kernel.loaded import HERE, PEER, Loaded, compiled, packet
from tests.strategies.packets import ACK, FIN, SYN, echo, ip, tcp

ALL_MAY = (
    "{name: first, from: web, to: app}, "
    "{name: in, from: web, to: db, ports: [tcp/80, udp/53, icmp]}, "
    "{name: out, from: db, to: web, ports: [tcp/22, udp/53]}"
)
PEER6, HERE6 = "fd00:8::2", "fd00:8::1"


@pytest.fixture
def it() -> Iterator[Loaded]:
    policy = compiled(ALL_MAY)
    found = Loaded(policy)
    found.put(policy)
    yield found
    found.datapath.close()


def flows(it: Loaded) -> dict[FlowTuple, LiveFlow]:
    return {flow.opener: flow for flow in it.datapath.flows()}


def opener(protocol: int, source: str, sport: int, destination: str, dport: int) -> FlowTuple:
    return FlowTuple(protocol, (ip_address(source), sport), (ip_address(destination), dport))


def segment(source: str, destination: str, sport: int, dport: int, flags: int) -> bytes:
    return ethernet(ip(source, destination, TCP, tcp(sport, dport, flags)))


def test_flows_are_told_from_their_openers_whoever_that_is(it: Loaded) -> None:
    assert it.judge(packet(PEER, HERE)) is Reason.PASS
    assert it.judge(packet(HERE, PEER, sport=50), Hook.EGRESS) is Reason.PASS
    assert it.judge(segment(PEER, HERE, 4000, 80, SYN)) is Reason.PASS
    assert it.judge(segment(HERE, PEER, 4000, 22, SYN), Hook.EGRESS) is Reason.PASS
    ping = ethernet(ip(PEER, HERE, ICMP4, echo(8, 0x1234)))
    assert it.judge(ping) is Reason.PASS
    found = flows(it)
    assert {tuple_: flow.state for tuple_, flow in found.items()} == {
        opener(UDP, PEER, 40000, HERE, 53): FlowState.UDP_NEW,
        opener(UDP, HERE, 50, PEER, 53): FlowState.UDP_NEW,
        opener(TCP, PEER, 4000, HERE, 80): FlowState.TCP_HALF_OPEN,
        opener(TCP, HERE, 4000, PEER, 22): FlowState.TCP_HALF_OPEN,
        opener(ICMP4, PEER, 0x1234, HERE, 0x1234): FlowState.ECHO,
    }
    for flow in found.values():
        assert flow.allowed
        assert flow.revision == it.datapath.in_force.revision
        assert 0 <= flow.age_s < 20, "the test has just sent it"
    rules = {flow.rule for flow in found.values()}
    assert len(rules) == 2
    assert 0 not in rules


def test_states_and_marks_are_those_of_the_packets(it: Loaded) -> None:
    tuple_ = opener(TCP, PEER, 4000, HERE, 80)
    it.judge(segment(PEER, HERE, 4000, 80, SYN))
    it.judge(segment(HERE, PEER, 80, 4000, SYN | ACK), Hook.EGRESS)
    assert flows(it)[tuple_].state is FlowState.TCP_ESTABLISHED
    assert flows(it)[tuple_].marks == 0
    it.judge(segment(HERE, PEER, 80, 4000, FIN | ACK), Hook.EGRESS)
    assert flows(it)[tuple_].marks == abi.FIN_REPLY
    it.judge(segment(PEER, HERE, 4000, 80, FIN | ACK))
    assert flows(it)[tuple_].state is FlowState.TCP_CLOSING


def test_a_denied_flow_is_told_once_a_packet_found_it_so(it: Loaded) -> None:
    it.judge(packet(PEER, HERE))
    it.put(compiled("{name: in, from: web, to: db, ports: tcp/80}"))
    (flow,) = it.datapath.flows()
    assert flow.allowed
    assert flow.revision != it.datapath.in_force.revision
    assert it.judge(packet(PEER, HERE)) is Reason.DENIED
    (flow,) = it.datapath.flows()
    assert not flow.allowed
    assert flow.revision == it.datapath.in_force.revision


@pytest.mark.parametrize(("age_s", "is_there"), [(7, True), (29, True), (31, False), (9e4, False)])
def test_age_is_since_the_last_packet_and_what_timed_out_is_left_out(
    it: Loaded,
    age_s: float,
    is_there: bool,
) -> None:
    it.judge(packet(PEER, HERE))
    table = it.datapath.maps["unanswered"]
    ((key, value),) = table.items()
    word, seen, *rest = FLOW.codec.unpack(value)
    ticks = round(age_s * ticks_per_second())
    table.update(key, FLOW.codec.pack(word, (seen - ticks) & 0xFFFF_FFFF, *rest))
    found = list(it.datapath.flows())
    assert bool(found) is is_there
    if found:
        assert age_s <= found[0].age_s < age_s + 20
        assert found[0].left_s == FLOW_TIMEOUT_S[FlowState.UDP_NEW] - found[0].age_s


def test_a_clock_that_ticked_elsewhere_first_makes_no_flow_old(it: Loaded) -> None:
    it.judge(packet(PEER, HERE))
    table = it.datapath.maps["unanswered"]
    ((key, value),) = table.items()
    word, seen, *rest = FLOW.codec.unpack(value)
    table.update(key, FLOW.codec.pack(word, (seen + 15) & 0xFFFF_FFFF, *rest))
    (flow,) = it.datapath.flows()
    assert flow.age_s < 20


def test_more_flows_than_one_system_call_gives_are_all_told(it: Loaded) -> None:
    with TickClock() as clock:
        value = FLOW.codec.pack(1 << 31, clock.now(), 0, FlowState.TCP_ESTABLISHED, 0)
    ports = range(1, 2 * CHUNK + 10)
    keys = b"".join(pack("<4Q2HBBH", 0, 1, 0, 2, port, 53, UDP, 4, 0) for port in ports)
    it.datapath.maps["unanswered"].update_batch(keys, value * len(ports), len(ports))
    found = sorted(flow.opener.source[1] for flow in it.datapath.flows())
    assert found == list(ports)


def test_both_halves_of_an_ipv6_address_are_told(it: Loaded) -> None:
    with TickClock() as clock:
        word = 1 << 31 | 1 << 30  # allowed, and opened by b
        value = FLOW.codec.pack(word, clock.now(), 3, FlowState.TCP_ESTABLISHED, 0)
    a, b = (divmod(int(ip_address(each)), 1 << 64) for each in (HERE6, PEER6))
    it.datapath.maps["unanswered"].update(pack("<4Q2HBBH", *a, *b, 80, 4000, TCP, 6, 0), value)
    (flow,) = it.datapath.flows()
    assert flow.opener == opener(TCP, PEER6, 4000, HERE6, 80)
    assert flow.rule == 3
