# SPDX-License-Identifier: Apache-2.0
"""The guard's verdicts, by BPF_PROG_TEST_RUN: behind an Ethernet header, and tags."""

import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path

import pytest

from krait.common.guard import PREFIX4, GuardMark, GuardReason
from krait.kernel.bpf.errors import MapFull
from krait.kernel.bpf.map import Map
from krait.kernel.bpf.program import program_info
from krait.kernel.bpf.testrun import ethernet, run
from krait.kernel.guard import GuardLoad
from tests.figures import Figures
from tests.kernel.agent.test_apply import folder
from tests.strategies.packets import Extension, icmp, ip4, ip6, udp

__all__ = ["folder"]  # a fixture

PASS, DROP = -1, 2
IPV4, ARP, VLAN, QINQ, IPV6 = 0x0800, 0x0806, 0x8100, 0x88A8, 0x86DD
UDP, ICMP6 = 17, 58
OWN, OTHER, LAN, HERE = "10.8.0.1", "10.8.0.2", "192.0.2.7", "192.0.2.1"
OWN6, OTHER6, LAN6, HERE6 = "fd00:8::1", "fd00:8::2", "2001:db8::7", "2001:db8::1"
NOBODY = str(IPv4Address(0))
BEHIND, BEHIND6 = "10.8.0.70", "fd00:8::5:1"
MARKS = {
    ip_network(cidr): mark
    for cidr, mark in {
        "10.8.0.0/24": GuardMark.MESH,
        "10.8.0.64/27": GuardMark.NOTHING,
        f"{OWN}/32": GuardMark.MESH | GuardMark.OWN,
        "fd00:8::/64": GuardMark.MESH,
        "fd00:8::5:0/112": GuardMark.NOTHING,
        f"{OWN6}/128": GuardMark.MESH | GuardMark.OWN,
    }.items()
}


@pytest.fixture
def guard() -> Iterator[GuardLoad]:
    with GuardLoad.load() as loaded:
        loaded.mark(MARKS)
        yield loaded


def verdict(guard: GuardLoad, packet: bytes, kind: int) -> GuardReason:
    """Why it drops, by the counter; PASS if it does not."""
    before = guard.drops
    done = run(guard.program.fd, ethernet(packet, kind)).verdict
    moved = [
        reason
        for reason, count in guard.drops.items()
        if reason not in before or count.packets != before[reason].packets
    ]
    assert done == (DROP if moved else PASS)
    (reason,) = moved or [GuardReason.PASS]
    return reason


def arp(
    operation: int, sender: str, target: str, *, hardware_bytes: int = 6, address_bytes: int = 4
) -> bytes:
    """`address_bytes` is the length claimed."""
    lead = struct.pack(">HHBBH", 1, IPV4, hardware_bytes, address_bytes, operation)
    mac = bytes(hardware_bytes)
    return lead + mac + ip_address(sender).packed + mac + ip_address(target).packed


def nd(kind: int, target: str, *extensions: Extension) -> bytes:
    body = icmp(kind, 0, bytes(4) + ip_address(target).packed)
    return ip6(LAN6, "ff02::1:ff00:1", ICMP6, body, extensions=extensions)


def from_next_door(packet: bytes) -> bytes:
    """With the hop limit that neighbour discovery has."""
    return packet[:7] + b"\xff" + packet[8:]


ASKS, ANSWERS, SOLICITATION, ADVERTISEMENT = 1, 2, 135, 136
SOURCE, DESTINATION = GuardReason.SOURCE, GuardReason.DESTINATION
NEIGHBOUR, TRUNCATED = GuardReason.NEIGHBOUR, GuardReason.TRUNCATED
GOES_ON = GuardReason.PASS

IP_PACKETS = {
    "from the mesh": (ip4(OTHER, HERE, UDP, udp(1, 2)), SOURCE),
    "as if from this node": (ip4(OWN, HERE, UDP), SOURCE),
    "to this node": (ip4(LAN, OWN, UDP), DESTINATION),
    "to another node, through this one": (ip4(LAN, OTHER, UDP), GOES_ON),
    "of the LAN": (ip4(LAN, HERE, UDP), GOES_ON),
    "from a subnet behind": (ip4(BEHIND, OTHER, UDP), GOES_ON),
    "to this node from a subnet behind": (ip4(BEHIND, OWN, UDP), DESTINATION),
    "a later fragment": (ip4(LAN, OWN, UDP, bytes(8), fragment=8), DESTINATION),
    "with options": (ip4(OTHER, HERE, UDP, options=bytes(40)), SOURCE),
    "from the mesh by IPv6": (ip6(OTHER6, HERE6, UDP, udp(1, 2)), SOURCE),
    "to this node by IPv6": (ip6(LAN6, OWN6, UDP), DESTINATION),
    "to another node by IPv6": (ip6(LAN6, OTHER6, UDP), GOES_ON),
    "from a subnet behind by IPv6": (ip6(BEHIND6, OTHER6, UDP), GOES_ON),
    "who has this node's address, by IPv6": (nd(SOLICITATION, OWN6), NEIGHBOUR),
    "who has it, behind headers": (
        nd(SOLICITATION, OWN6, Extension.options(0), Extension.options(units=1)),
        NEIGHBOUR,
    ),
    "who has it, behind more headers than are looked behind": (
        from_next_door(nd(SOLICITATION, OWN6, *[Extension.options(units=1)] * 5)),
        TRUNCATED,
    ),
    "as many headers on what was forwarded": (
        nd(SOLICITATION, OWN6, *[Extension.options(units=1)] * 5),
        GOES_ON,
    ),
    "who has another node's": (nd(SOLICITATION, OTHER6), GOES_ON),
    "who has one of the LAN": (nd(SOLICITATION, HERE6), GOES_ON),
    "I have another node's": (nd(ADVERTISEMENT, OTHER6), NEIGHBOUR),
    "I have one of the LAN": (nd(ADVERTISEMENT, LAN6), GOES_ON),
    "a ping, which names nobody": (ip6(LAN6, HERE6, ICMP6, icmp(128)), GOES_ON),
    "a question cut short": (nd(SOLICITATION, OWN6)[:-1], TRUNCATED),
    "a message of no bytes": (ip6(LAN6, HERE6, ICMP6), TRUNCATED),
    "an extension header cut short": (
        ip6(LAN6, HERE6, UDP, extensions=[Extension.options(0)])[:41],
        TRUNCATED,
    ),
}
NEIGHBOURS = {
    "who has this node's address": (arp(ASKS, LAN, OWN), NEIGHBOUR),
    "a probe before one takes it": (arp(ASKS, NOBODY, OWN), NEIGHBOUR),
    "who has another node's": (arp(ASKS, LAN, OTHER), GOES_ON),
    "who has one of the LAN": (arp(ASKS, LAN, HERE), GOES_ON),
    "I have another node's": (arp(ANSWERS, OTHER, HERE), NEIGHBOUR),
    "I, another node, ask": (arp(ASKS, OTHER, HERE), NEIGHBOUR),
    "an answer to this node's address": (arp(ANSWERS, LAN, OWN), GOES_ON),
    "with long hardware addresses": (arp(ASKS, LAN, OWN, hardware_bytes=20), NEIGHBOUR),
    "of another protocol": (arp(ASKS, OTHER, OWN, address_bytes=16), GOES_ON),
    "cut short": (arp(ASKS, LAN, OWN)[:-1], TRUNCATED),
    "cut shorter": (arp(ASKS, LAN, OWN)[:17], TRUNCATED),
    "cut in its header": (arp(ASKS, LAN, OWN)[:7], TRUNCATED),
}


def version(packet: bytes) -> int:
    return IPV6 if packet[0] >> 4 == 6 else IPV4


@pytest.mark.parametrize(("packet", "reason"), IP_PACKETS.values(), ids=IP_PACKETS)
def test_an_ip_packet_is_judged_by_both_its_addresses(
    guard: GuardLoad, packet: bytes, reason: GuardReason
) -> None:
    assert verdict(guard, packet, version(packet)) is reason


@pytest.mark.parametrize(("packet", "reason"), NEIGHBOURS.values(), ids=NEIGHBOURS)
def test_arp_is_judged_by_who_claims_what_and_asks_for_whom(
    guard: GuardLoad, packet: bytes, reason: GuardReason
) -> None:
    assert verdict(guard, packet, ARP) is reason


@pytest.mark.parametrize("tags", [(VLAN,), (QINQ, VLAN), (QINQ, QINQ, VLAN)])
def test_tags_hide_nothing(guard: GuardLoad, tags: tuple[int, ...]) -> None:
    kinds = (*tags[1:], IPV4)
    for packet, reason in ((ip4(LAN, OWN, UDP), DESTINATION), (ip4(LAN, HERE, UDP), GOES_ON)):
        lead = b"".join(struct.pack(">HH", 5, kind) for kind in kinds)
        assert verdict(guard, lead + packet, tags[0]) is reason


@pytest.mark.parametrize("tags", [4, 5, 9])
def test_what_has_more_tags_than_are_skipped_drops(guard: GuardLoad, tags: int) -> None:
    """Of VLAN 0: behind the guard the stack takes them all off (net/core/dev.c)."""
    for packet, kind in ((ip4(LAN, OWN, UDP), IPV4), (ip4(LAN, HERE, UDP), IPV4), (b"", ARP)):
        lead = b"".join(struct.pack(">HH", 0, each) for each in (*[VLAN] * (tags - 1), kind))
        assert verdict(guard, lead + packet, VLAN) is TRUNCATED


@pytest.mark.parametrize(
    ("kind", "packet"),
    [(IPV4, ip4(LAN, HERE, UDP)[:19]), (IPV6, ip6(LAN6, HERE6, UDP)[:39]), (IPV4, b"")],
)
def test_what_is_too_short_to_tell_drops(guard: GuardLoad, kind: int, packet: bytes) -> None:
    # By itself no run takes it.
    assert verdict(guard, struct.pack(">HH", 5, kind) + packet, VLAN) is TRUNCATED
    assert verdict(guard, bytes(3), VLAN) is TRUNCATED


def test_what_is_no_ip_is_none_of_its_business(guard: GuardLoad) -> None:
    assert verdict(guard, bytes(60), 0x88CC) is GOES_ON


def test_a_large_packet_counts_as_its_segments(guard: GuardLoad) -> None:
    frame = ethernet(ip4(LAN, OWN, UDP, bytes(500)))
    run(guard.program.fd, frame, gso_segs=3)
    assert guard.drops[DESTINATION].packets == 3


def test_without_marks_everything_passes() -> None:
    with GuardLoad.load() as loaded:
        assert verdict(loaded, ip4(OTHER, OWN, UDP), IPV4) is GOES_ON


def test_marks_are_read_back_and_what_is_not_wanted_goes(guard: GuardLoad) -> None:
    assert guard.marks == MARKS
    fewer = {
        ip_network("10.9.0.0/16"): GuardMark.MESH,
        ip_network("10.8.0.0/24"): GuardMark.NOTHING,
    }
    guard.mark(fewer)
    assert guard.marks == fewer
    assert verdict(guard, ip4(LAN, OWN, UDP), IPV4) is GOES_ON


def test_a_mark_that_another_tool_made_is_read_back_and_goes(
    guard: GuardLoad, folder: Path
) -> None:
    guard.pin(folder / "bpf" / "guard")
    with Map.open_pinned(folder / "bpf" / "guard" / "marks4") as marks:
        marks.update(PREFIX4.codec.pack(16, 10, 9, 8, 7), bytes((GuardMark.OWN, 0, 0, 0)))
    assert guard.marks == {**MARKS, ip_network("10.9.0.0/16"): GuardMark.OWN}
    guard.mark(MARKS)
    assert guard.marks == MARKS


def test_more_marks_than_there_is_room_for_are_refused() -> None:
    with GuardLoad.load() as loaded, pytest.raises(MapFull):
        loaded.mark(dict.fromkeys(ip_network("10.0.0.0/8").subnets(new_prefix=25), GuardMark.MESH))


def test_the_verifier_walks_few_instructions(guard: GuardLoad, figures: Figures) -> None:
    walked = program_info(guard.program.fd).verified_instructions
    figures(f"guard: the verifier walked {walked:,} instructions")
    assert 0 < walked < 100_000
