# SPDX-License-Identifier: Apache-2.0
"""What senders are told, held against packets that were worked out by hand."""

from struct import pack

import pytest

from krait.common.reason import Reason
from krait.policy.case import Verdict
from krait.policy.document import load
from krait.policy.model import Policy
from krait.policy.packet import ETHERTYPE
from krait.policy.rejection import is_rejected, rejection
from tests.documents import key

HERE4, THERE4 = bytes((10, 8, 0, 1)), bytes((10, 8, 0, 2))
HERE6, THERE6 = bytes.fromhex("fd7a" + "0" * 27 + "1"), bytes.fromhex("fd7a" + "0" * 27 + "2")
SYN, ACK, RST, FIN = 2, 16, 4, 1


def ipv4(protocol: int, body: bytes, fragment: int = 0) -> bytes:
    total = 20 + len(body)
    return pack(">BBHHHBBH", 0x45, 0, total, 7, fragment, 9, protocol, 0) + HERE4 + THERE4 + body


def ipv6(protocol: int, body: bytes) -> bytes:
    return pack(">IHBB", 6 << 28, len(body), protocol, 9) + HERE6 + THERE6 + body


def segment(flags: int, data: bytes = b"", sequence: int = 1000, acknowledged: int = 2000) -> bytes:
    return pack(">HHIIBBHHH", 40000, 80, sequence, acknowledged, 5 << 4, flags, 512, 0, 0) + data


def datagram(data: bytes = b"hello") -> bytes:
    return pack(">HHHH", 40000, 53, 8 + len(data), 0) + data


def told(packet: bytes) -> bytes:
    answer = rejection(packet, ETHERTYPE[packet[0] >> 4])
    assert answer is not None
    return answer


def is_silent(packet: bytes) -> bool:
    return rejection(packet, ETHERTYPE[packet[0] >> 4]) is None


def summed(data: bytes) -> int:
    """All ones if a checksum in it is right (RFC 1071)."""
    data += bytes(len(data) % 2)
    total = sum(int.from_bytes(data[i : i + 2]) for i in range(0, len(data), 2))
    return total % 0xFFFF or 0xFFFF


def pseudo6(answer: bytes) -> bytes:
    return answer[8:40] + pack(">II", len(answer) - 40, answer[6])


def test_a_syn_is_answered_with_a_reset_that_acknowledges_it() -> None:
    answer = told(ipv4(6, segment(SYN)))
    assert answer[:10] + answer[12:20] == bytes.fromhex("450000280000400040060a0800020a080001")
    assert answer[20:36] == pack(">HHIIBBH", 80, 40000, 0, 1001, 5 << 4, RST | ACK, 0)
    assert answer[38:] == b"\0\0"
    assert summed(answer[:20]) == 0xFFFF
    assert summed(answer[12:20] + pack(">HH", 6, 20) + answer[20:]) == 0xFFFF


def test_data_and_fin_count_in_what_is_acknowledged() -> None:
    answer = told(ipv4(6, segment(SYN | FIN, b"early", sequence=0xFFFF_FFFE)))
    assert answer[28:32] == pack(">I", 5)


def test_a_segment_with_ack_is_answered_from_where_it_acknowledges() -> None:
    answer = told(ipv6(6, segment(ACK, b"data")))
    assert answer[:8] == pack(">IHBB", 6 << 28, 20, 6, 64)
    assert answer[8:40] == THERE6 + HERE6
    assert answer[44:54] == pack(">IIBB", 2000, 0, 5 << 4, RST)
    assert summed(pseudo6(answer) + answer[40:]) == 0xFFFF


def test_a_datagram_is_answered_with_an_error_that_quotes_it() -> None:
    packet = ipv4(17, datagram())
    answer = told(packet + b"padding")
    assert answer[20:22] == bytes((3, 13))
    assert answer[24:] == bytes(4) + packet
    assert summed(answer[20:]) == 0xFFFF
    packet = ipv6(17, datagram())
    answer = told(packet)
    assert answer[40:42] == bytes((1, 1))
    assert answer[44:] == bytes(4) + packet
    assert summed(pseudo6(answer) + answer[40:]) == 0xFFFF


def test_of_a_large_packet_as_much_is_quoted_as_an_error_may_have() -> None:
    assert len(told(ipv4(17, datagram(bytes(1300))))) == 576
    assert len(told(ipv6(17, datagram(bytes(1300))))) == 1280


@pytest.mark.parametrize(
    "packet",
    [
        ipv4(6, segment(RST)),
        ipv4(6, segment(SYN), fragment=0x2000),
        ipv4(6, segment(SYN)[:16]),
        ipv4(6, segment(SYN)[:12] + b"\xf0" + segment(SYN)[13:]),
        ipv4(17, datagram(bytes(8)), fragment=2),
        ipv4(1, bytes((3, 1)) + bytes(6) + ipv4(17, datagram())),
        ipv4(17, datagram())[:16] + bytes((224, 0, 0, 5)) + datagram(),
        ipv6(17, datagram())[:24] + b"\xff\x02" + bytes(14) + datagram(),
    ],
    ids=[
        "a reset",
        "a segment in fragments",
        "half a header",
        "a header longer than the packet",
        "a later fragment",
        "an error",
        "to a group of IPv4",
        "to a group of IPv6",
    ],
)
def test_nothing_is_said_about(packet: bytes) -> None:
    assert is_silent(packet)


def policy(text: str) -> Policy:
    nodes = f'nodes:\n  one: {{public_key: "{key(1)}", tags: a}}\n'
    return load(f"{nodes}policy: {text}".encode(), "test.yaml").policy


RULES = (
    "rules: [{from: a, to: a, action: reject}, {from: a, to: a, action: deny}, {from: a, to: a}]"
)


def rejected(text: str, rule: int, side: str = "egress", *, came_in: bool = False) -> bool:
    verdict = Verdict(Reason.DENIED, rule=rule)
    return is_rejected(policy(text), verdict, side, came_in=came_in)


def test_the_rule_that_denies_says_whether_its_sender_is_told() -> None:
    assert rejected(f"{{{RULES}}}", 1)
    assert not rejected(f"{{{RULES}}}", 2)
    assert not rejected(f"{{{RULES}}}", 0)
    assert rejected("{default: reject}", 0)


def test_an_allow_that_has_ended_denies_as_the_default_does() -> None:
    assert not rejected(f"{{{RULES}}}", 3)
    assert rejected(f"{{default: reject, {RULES}}}", 3)
    assert not rejected(f"{{default: reject, {RULES}}}", 2)


def test_who_sent_it_is_told_where_it_leaves_and_on_ingress_only_if_the_policy_says_so() -> None:
    assert not rejected(f"{{{RULES}}}", 1, "ingress")
    assert rejected(f"{{reject_ingress: true, {RULES}}}", 1, "ingress")
    assert not rejected(f"{{reject_ingress: true, {RULES}}}", 1, came_in=True)


def test_other_drops_are_not_told() -> None:
    verdict = Verdict(Reason.NO_FLOW)
    assert not is_rejected(policy("{default: reject}"), verdict, "egress", came_in=False)
