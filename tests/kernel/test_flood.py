# SPDX-License-Identifier: Apache-2.0
"""A peer that opens flows without end, in the running kernel: whose flows live on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, ip_interface, ip_network
from random import Random
from struct import pack

import pytest

from krait.common.reason import Reason
from krait.kernel.bpf.testrun import ethernet, run
from krait.kernel.datapath import Datapath
from krait.kernel.hook import Hook
from krait.policy.capacity import SMALLEST
from krait.policy.compile import Compiled, compile_policy
from krait.policy.document import load
from krait.policy.image import EMPTY, draw, need
from krait.policy.view import Interface, Peer, resolve
from tests.documents import key

LOOPBACK = 1
ME, HONEST, HOSTILE = "10.8.0.1", "10.8.0.2", "10.8.0.3"
UDP, TCP = 17, 6
SYN, ACK = 2, 16
FLOWS = 1 << 12
"""A small table: a quarter of it waits for answers."""
KEPT = FLOWS // 4
ATTACK = 20_000
FREE_LIST = 128
"""Entries that each CPU takes out of use at a time (kernel/bpf/bpf_lru_list.c)."""


def raw(number: int) -> bytes:
    return bytes((number,)) * 32


def policy(limits: str = "{}") -> Compiled:
    text = f"""
nodes:
  me: {{public_key: {key(1)}, tags: server}}
  honest: {{public_key: {key(2)}, tags: client}}
  hostile: {{public_key: {key(3)}, tags: client}}
policy:
  limits: {limits}
  rules:
    - {{name: serve, from: client, to: server, ports: [udp, tcp/80, icmp]}}
    - {{name: time, from: server, to: client, ports: [udp/123, tcp/443]}}
"""
    document = load(text.encode(), "test.yaml")
    known = {node.name: node.public_key or b"" for node in document.nodes}
    peers = tuple(
        Peer(known[name], (ip_network(address),))
        for name, address in (("honest", HONEST), ("hostile", HOSTILE))
    )
    interface = Interface(known["me"], (ip_interface(f"{ME}/24"),), peers)
    return compile_policy(document, resolve(document, interface))


class Victim:
    """This node's filter, and packets at it."""

    def __init__(self, compiled: Compiled) -> None:
        self.datapath = Datapath.load(
            SMALLEST.grown(need(compiled)), flows=FLOWS, test_ifindex=LOOPBACK
        )
        image = draw(compiled, self.datapath.capacity, {})
        self.datapath.write(1, image, known=EMPTY, held={})
        self.datapath.commit(1, 1)

    def drops(self) -> dict[Reason, int]:
        return {reason: count.packets for reason, count in self.datapath.drops().items()}

    def arrives(self, source: str, l4: bytes, protocol: int = UDP) -> bool:
        return self._judge(Hook.INGRESS, source, ME, protocol, l4)

    def sends(self, to: str, l4: bytes, protocol: int = UDP) -> bool:
        return self._judge(Hook.EGRESS, ME, to, protocol, l4)

    def _judge(self, hook: Hook, source: str, to: str, protocol: int, l4: bytes) -> bool:
        header = pack(">BBHHHBBH", 0x45, 0, 20 + len(l4), 1, 0, 64, protocol, 0)
        frame = ethernet(header + IPv4Address(source).packed + IPv4Address(to).packed + l4)
        return run(self.datapath.programs[hook].fd, frame).verdict < 0


@contextmanager
def victim_with(limits: str = "{}") -> Iterator[Victim]:
    victim = Victim(policy(limits))
    try:
        yield victim
    finally:
        victim.datapath.close()


def udp(source_port: int, port: int) -> bytes:
    return pack(">HHHH", source_port, port, 8, 0)


def tcp(source_port: int, port: int, flags: int) -> bytes:
    return pack(">HHIIBBHHH", source_port, port, 1, 1, 5 << 4, flags, 512, 0, 0)


def converse(victim: Victim, peer: str, count: int) -> None:
    """Flows that both sides have spoken in."""
    for port in range(1, count + 1):
        assert victim.arrives(peer, udp(port, 53))
        assert victim.sends(peer, udp(53, port))


def alive(victim: Victim, peer: str, count: int) -> int:
    """How many of them still let an answer pass."""
    return sum(victim.sends(peer, udp(53, port)) for port in range(1, count + 1))


def test_opens_that_nobody_answers_push_out_no_flow_that_was_answered() -> None:
    random = Random(1)  # noqa: S311 - any ports will do
    with victim_with("{opens: unlimited}") as victim:
        converse(victim, HONEST, KEPT)
        for _ in range(ATTACK):
            port, other = random.randrange(1, 1 << 16), random.randrange(1, 1 << 16)
            assert victim.arrives(HOSTILE, udp(port, other))
        assert alive(victim, HONEST, KEPT) == KEPT
        assert not victim.drops()


def test_syns_that_nobody_answers_and_pings_push_out_no_flow_that_was_answered() -> None:
    random = Random(2)  # noqa: S311
    with victim_with("{opens: unlimited}") as victim:
        converse(victim, HONEST, KEPT)
        for number in range(ATTACK):
            assert victim.arrives(HOSTILE, tcp(random.randrange(1, 1 << 16), 80, SYN), TCP)
            echo = pack(">BBHHH", 8, 0, 0, number & 0xFFFF, 1)
            assert victim.arrives(HOSTILE, echo, 1)
            assert victim.sends(HOSTILE, b"\0" + echo[1:], 1)  # an answer to a ping is cheap
        assert alive(victim, HONEST, KEPT) == KEPT


def test_segments_of_one_side_alone_push_out_no_flow_that_was_answered() -> None:
    """Picked up as answers of what this node may have opened; more of them answer nothing."""
    random = Random(3)  # noqa: S311
    with victim_with("{opens: unlimited}") as victim:
        converse(victim, HONEST, KEPT)
        for _ in range(ATTACK):
            segment = tcp(443, random.randrange(1, 1 << 16), ACK)
            assert victim.arrives(HOSTILE, segment, TCP)
            assert victim.arrives(HOSTILE, segment, TCP)
        assert alive(victim, HONEST, KEPT) == KEPT


def test_a_peer_that_opens_more_than_a_peer_may_is_stopped_and_named() -> None:
    with victim_with("{opens: 1, burst: 100}") as victim:
        passed = sum(victim.arrives(HOSTILE, udp(port, 53)) for port in range(1, 1001))
        assert 100 <= passed < 200
        assert victim.drops() == {Reason.OPEN_LIMIT: 1000 - passed}
        # The number of the peer in the tables is its place among the interface's peers, from 1.
        assert [count.packets for count in victim.datapath.counts("peers")[:3]] == [
            0, 0, 1000 - passed,
        ]  # fmt: skip


def test_the_limit_of_one_peer_is_no_limit_of_another() -> None:
    with victim_with("{opens: 1, burst: 100}") as victim:
        for port in range(1, 1001):
            victim.arrives(HOSTILE, udp(port, 53))
        converse(victim, HONEST, 50)


def test_what_this_node_opens_is_not_limited() -> None:
    with victim_with("{opens: 1, burst: 1}") as victim:
        for port in range(1, 200):
            assert victim.sends(HONEST, udp(port, 123))
        assert victim.arrives(HONEST, udp(7, 53))
        assert not victim.arrives(HONEST, udp(8, 53))
        assert victim.drops() == {Reason.OPEN_LIMIT: 1}


@pytest.mark.parametrize("limits", ["{}", "{opens: 1, burst: 1}"], ids=["default", "one"])
def test_packets_of_a_flow_cost_nothing_of_what_a_peer_may_open(limits: str) -> None:
    with victim_with(limits) as victim:
        assert victim.arrives(HONEST, tcp(40000, 80, SYN), TCP)
        for _ in range(5_000):
            assert victim.arrives(HONEST, tcp(40000, 80, ACK), TCP)
        assert victim.sends(HONEST, tcp(80, 40000, SYN | ACK), TCP)
        assert not victim.drops()


def test_a_peer_that_is_answered_needs_a_table_of_flows_to_push_out_anothers() -> None:
    with victim_with("{opens: unlimited}") as victim:
        converse(victim, HONEST, KEPT)
        room = FLOWS - KEPT - 2 * FREE_LIST * (os.cpu_count() or 1)
        converse(victim, HOSTILE, room)
        assert alive(victim, HONEST, KEPT) == KEPT
