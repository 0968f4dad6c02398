# SPDX-License-Identifier: Apache-2.0
"""Part 9 of docs/packet-path.md: what the sender of a rejected packet is told, byte for byte.

The reference for ebpf/krait/rejection.h, written from the page.

Sources: RFC 9293, 3.10.7.1 (resets), RFC 792 and 1812 (ICMP), RFC 4443 (ICMPv6), RFC 1071
(checksums).
"""

from struct import pack, unpack_from

from krait.common.reason import Reason
from krait.policy.case import Verdict
from krait.policy.model import ICMP4, ICMP6, TCP, Policy
from krait.policy.packet import Message, Packet, TcpFlag, after_ip_headers, parse, size_bytes

HOPS = 64
DONT_FRAGMENT = 0x4000

MAX_ERROR_BYTES = {4: 576, 6: 1280}
"""Of an ICMP error, its IP header included, by IP version."""

_ICMP_HEADER = ">BBHI"  # type, code, checksum, unused
_PROHIBITED = {4: (3, 13), 6: (1, 1)}
_TCP_HEADER = (
    ">HHIIBBHHH"  # ports, sequence, acknowledgment, length, flags, window, checksum, urgent
)
_TCP_BYTES = 20
_IP_BYTES = {4: 20, 6: 40}


def is_rejected(policy: Policy, verdict: Verdict, side: str, *, came_in: bool) -> bool:
    """Whether a packet's sender is told of it, if there is anything to say.

    `side` is ingress or egress; `came_in` is said of a packet that leaves by the interface by which
    it came in.
    """
    if verdict.reason is not Reason.DENIED or verdict.rule is None:
        return False
    rule = policy.rules[verdict.rule - 1] if verdict.rule else None
    is_its_hook = not came_in if side == "egress" else policy.reject_ingress
    return is_its_hook and policy.rejects(rule)


def rejection(frame: bytes, ethertype: int) -> bytes | None:
    """The packet that tells the sender of `frame`, a packet from its IP header on, that it was
    denied; None where nothing may be said. `ethertype` is as in `packet.parse`.
    """
    packet = parse(frame, ethertype)
    if isinstance(packet, Reason) or not _may_be_told(packet):
        return None
    if packet.protocol == TCP:
        told = None if packet.fragment else _reset(after_ip_headers(frame))
        protocol = TCP
    else:
        told = _prohibited(frame[: size_bytes(frame)], packet)
        protocol = ICMP4 if packet.source.version == 4 else ICMP6
    return None if told is None else _sealed(packet, protocol, told)


def _may_be_told(packet: Packet) -> bool:
    return not (
        packet.message is Message.ERROR
        or packet.is_later_fragment
        or packet.destination.is_multicast
        or packet.has(TcpFlag.RST)
    )


def _reset(segment: bytes) -> bytes | None:
    """Without its checksum."""
    if len(segment) < _TCP_BYTES:
        return None
    source, destination, sequence, acknowledgment, length, flags, *_ = unpack_from(
        _TCP_HEADER, segment
    )
    header_bytes = (length >> 4) * 4
    if header_bytes < _TCP_BYTES or header_bytes > len(segment):
        return None
    if flags & TcpFlag.ACK:
        numbers = acknowledgment, 0, TcpFlag.RST
    else:
        taken = len(segment) - header_bytes + bool(flags & TcpFlag.SYN) + bool(flags & TcpFlag.FIN)
        numbers = 0, sequence + taken & 0xFFFF_FFFF, TcpFlag.RST | TcpFlag.ACK
    first, second, answer = numbers
    return pack(_TCP_HEADER, destination, source, first, second, 5 << 4, answer, 0, 0, 0)


def _prohibited(frame: bytes, packet: Packet) -> bytes:
    version = packet.source.version
    header = pack(_ICMP_HEADER, *_PROHIBITED[version], 0, 0)
    room = MAX_ERROR_BYTES[version] - _IP_BYTES[version] - len(header)
    return header + frame[:room]


def _sealed(denied: Packet, protocol: int, told: bytes) -> bytes:
    """With its IP header and its checksums, on the way back."""
    source, destination = denied.destination.packed, denied.source.packed
    at = 16 if protocol == TCP else 2
    pseudo = source + destination + pack(">II", len(told), protocol)
    checksum = _checksum(told if protocol == ICMP4 else pseudo + told)
    told = told[:at] + checksum + told[at + 2 :]
    if denied.source.version == 6:
        header = pack(">IHBB", 6 << 28, len(told), protocol, HOPS)
        return header + source + destination + told
    total = _IP_BYTES[4] + len(told)
    header = pack(">BBHHHBBH", 0x45, 0, total, 0, DONT_FRAGMENT, HOPS, protocol, 0)
    header += source + destination
    return header[:10] + _checksum(header) + header[12:] + told


def _checksum(data: bytes) -> bytes:
    """RFC 1071, in network byte order."""
    data += bytes(len(data) % 2)
    total = sum(unpack_from(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return pack(">H", total ^ 0xFFFF)
