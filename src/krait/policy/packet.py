# SPDX-License-Identifier: Apache-2.0
"""Questions 2 and 3 of docs/packet-path.md: what a packet is, or why it is dropped unread.

The reference for the kernel program's parser: plain rather than fast, and written from the page
alone, so that a fault in one of the two is not a fault in both.

Sources: RFC 791 and 8200 (headers), RFC 792 and 4443 (ICMP), RFC 1256 and 4861 (its discovery of
routers and neighbours), RFC 9293 (TCP).
"""

from dataclasses import dataclass, replace
from enum import Enum, IntFlag
from ipaddress import IPv4Address, IPv6Address
from typing import Self

from krait.common.reason import Reason
from krait.policy.fragment import Fragment
from krait.policy.model import ECHO_REQUEST, ICMP4, ICMP6, SCTP, TCP, UDP, Address
from krait.policy.reserved import RESERVED

ETHERTYPE = {4: 0x0800, 6: 0x86DD}
"""The frame's protocol that goes with each version of IP."""

HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS = 0, 43, 44, 60
"""IPv6 extension headers that are walked over; any other number ends the chain."""
EXTENSIONS = frozenset({HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS})
MAX_EXTENSIONS = 4


class TcpFlag(IntFlag):
    """The flags that a flow's state depends on."""

    FIN = 1
    SYN = 2
    RST = 4
    ACK = 16


class Message(Enum):
    """What an ICMP type means here; each number stands for one of these in its own family."""

    ECHO_REQUEST = "echo request"
    ECHO_REPLY = "echo reply"
    ERROR = "error"
    STEERING = "says where to send: redirects, discovery of routers and of neighbours"
    OTHER = "any other message"


_MESSAGES: dict[int, dict[int, Message]] = {
    ICMP4: {
        0: Message.ECHO_REPLY,
        8: Message.ECHO_REQUEST,
        **dict.fromkeys((5, 9, 10), Message.STEERING),
        **dict.fromkeys((3, 4, 11, 12), Message.ERROR),
    },
    ICMP6: {
        **dict.fromkeys(range(128), Message.ERROR),
        128: Message.ECHO_REQUEST,
        129: Message.ECHO_REPLY,
        **dict.fromkeys((133, 134, 135, 136, 137), Message.STEERING),
    },
}


@dataclass(frozen=True, slots=True)
class Packet:
    """What the judge needs to know of a packet.

    `ports` are source and destination: of TCP, UDP and SCTP their own, of an ICMP echo twice its
    identifier, of all else 0; None where the header is cut short. `icmp_type` is that of ICMP.
    `flags` is None where TCP's 14th byte is missing, and for every other protocol. `inner` is what
    an ICMP error quotes. `fragment` is None for a whole datagram; of a later fragment only the IP
    header is known.
    """

    source: Address
    destination: Address
    protocol: int
    message: Message | None = None
    ports: tuple[int, int] | None = (0, 0)
    icmp_type: int = 0
    flags: TcpFlag | None = None
    inner: Self | None = None
    fragment: Fragment | None = None

    @property
    def is_later_fragment(self) -> bool:
        return self.fragment is not None and not self.fragment.is_first

    @property
    def is_its_own_open(self) -> bool:
        """Nobody answers it in a way that ports or identifiers tell: ICMP but echo, and all that
        goes to a multicast group but what claims to be an answer.
        """
        if self.destination.is_multicast:
            return self.message is not Message.ECHO_REPLY
        return self.message is Message.OTHER

    @property
    def opens_tcp(self) -> bool:
        """A SYN without ACK and RST."""
        return self._flags(TcpFlag.SYN | TcpFlag.ACK | TcpFlag.RST) == TcpFlag.SYN

    @property
    def picks_up_tcp(self) -> bool:
        """An ACK without SYN and RST: a segment from the middle of a flow."""
        return self._flags(TcpFlag.SYN | TcpFlag.ACK | TcpFlag.RST) == TcpFlag.ACK

    def has(self, flag: TcpFlag) -> bool:
        """False, too, where there are no TCP flags."""
        return bool(self._flags(flag))

    @property
    def opened_type(self) -> int:
        """Of ICMP: the type that rules are asked about. An echo is its request, from either end."""
        if self.message in (Message.ECHO_REQUEST, Message.ECHO_REPLY):
            return ECHO_REQUEST[self.protocol]
        return self.icmp_type

    def _flags(self, mask: TcpFlag) -> TcpFlag:
        return (self.flags or TcpFlag(0)) & mask


def parse(frame: bytes, ethertype: int) -> Packet | Reason:
    """Read a packet that begins at its IP header.

    `frame` may be longer than the packet (padding); `ethertype` is the frame's protocol, host byte
    order. An ICMP error comes back with its `inner` packet.
    """
    if not frame or ethertype != ETHERTYPE.get(frame[0] >> 4):
        return Reason.MALFORMED
    header = _read(frame, whole=True)
    if isinstance(header, Reason):
        return header
    packet = _next_layer(header)
    if packet.protocol not in (ICMP4, ICMP6):
        return packet
    if packet.is_later_fragment:
        return packet if packet.protocol == _icmp_of(packet.source) else Reason.MALFORMED
    match packet.message:
        case None:
            return Reason.MALFORMED
        case Message.STEERING:
            return Reason.REDIRECT
        case Message.ERROR:
            inner = None if packet.fragment else _quoted(header.body[8:], packet)
            return Reason.BAD_ERROR if inner is None else replace(packet, inner=inner)
        case _:
            return packet


def after_ip_headers(frame: bytes) -> bytes:
    """Of a packet that `parse` takes: what lies between its IP headers and its own end."""
    header = _read(frame, whole=True)
    return b"" if isinstance(header, Reason) else header.body


def size_bytes(frame: bytes) -> int:
    """Of a packet that `parse` takes; what is behind it is padding."""
    if frame[0] >> 4 == 4:
        return int.from_bytes(frame[2:4])
    return 40 + int.from_bytes(frame[4:6])


@dataclass(frozen=True, slots=True)
class _Ip:
    source: Address
    destination: Address
    protocol: int
    body: bytes  # all after the IP headers that lies inside the IP packet
    fragment: Fragment | None


def _read(data: bytes, *, whole: bool) -> _Ip | Reason:
    """Question 2. Not `whole` is what an ICMP error quotes: its length fields are not looked at."""
    if len(data) < 20:
        return Reason.MALFORMED
    match data[0] >> 4:
        case 4:
            found = _read4(data, whole=whole)
        case 6:
            found = _read6(data, whole=whole)
        case _:
            return Reason.MALFORMED
    if isinstance(found, Reason):
        return found
    if found.source.is_multicast or _is_reserved(found.source):
        return Reason.MALFORMED
    # What goes to a group is answered by nobody, so an error about it is a lie.
    if _is_reserved(found.destination) or (found.destination.is_multicast and not whole):
        return Reason.MULTICAST
    return found


def _is_reserved(address: Address) -> bool:
    return any(address in network for network in RESERVED)


def _read4(data: bytes, *, whole: bool) -> _Ip | Reason:
    start = (data[0] & 0xF) * 4
    end = int.from_bytes(data[2:4]) if whole else len(data)
    if not 20 <= start <= end <= len(data):
        return Reason.MALFORMED
    word = int.from_bytes(data[6:8])
    part = Fragment(int.from_bytes(data[4:6]), data[9], (word & 0x1FFF) * 8, end - start)
    fragment = _fragment(part, more=bool(word & 0x2000), whole=whole)
    if isinstance(fragment, Reason):
        return fragment
    addresses = IPv4Address(data[12:16]), IPv4Address(data[16:20])
    return _Ip(*addresses, data[9], data[start:end], fragment)


def _fragment(part: Fragment, *, more: bool, whole: bool) -> Fragment | Reason | None:
    """None for a whole datagram, and for a first fragment that an error quotes."""
    if part.is_first and not more:
        return None
    if not whole:
        return None if part.is_first else Reason.FRAGMENT
    return part if part.is_possible(more=more) else Reason.MALFORMED


def _read6(data: bytes, *, whole: bool) -> _Ip | Reason:
    if len(data) < 40:
        return Reason.MALFORMED
    end = 40 + int.from_bytes(data[4:6]) if whole else len(data)
    if end > len(data):
        return Reason.MALFORMED
    found = _after_extensions(data[6], data[40:end], whole=whole)
    if isinstance(found, Reason):
        return found
    return _Ip(IPv6Address(data[8:24]), IPv6Address(data[24:40]), *found)


def _after_extensions(
    following: int, rest: bytes, *, whole: bool
) -> tuple[int, bytes, Fragment | None] | Reason:
    """The protocol that ends the chain, what follows its last extension header, and which part of
    a datagram that is. What follows a later fragment's header is data.
    """
    walked: list[int] = []
    fragment = None
    while following in EXTENSIONS and not (fragment and not fragment.is_first):
        late = following == HOP_BY_HOP and walked
        again = following == FRAGMENT and FRAGMENT in walked
        if len(walked) == MAX_EXTENSIONS or late or again or len(rest) < 8:
            return Reason.MALFORMED
        size = 8 if following == FRAGMENT else (rest[1] + 1) * 8
        if size > len(rest):
            return Reason.MALFORMED
        if following == ROUTING and rest[3] > 0:
            return Reason.SOURCE_ROUTE
        if following == FRAGMENT:
            word = int.from_bytes(rest[2:4])
            part = Fragment(int.from_bytes(rest[4:8]), 0, word & 0xFFF8, len(rest) - size)
            found = _fragment(part, more=bool(word & 1), whole=whole)
            if isinstance(found, Reason):
                return found
            fragment = found
        walked.append(following)
        following, rest = rest[0], rest[size:]
    return following, rest, fragment


def _next_layer(ip: _Ip) -> Packet:
    bare = Packet(ip.source, ip.destination, ip.protocol, fragment=ip.fragment)
    if bare.is_later_fragment:
        return bare
    body = ip.body
    if ip.protocol in (TCP, UDP, SCTP):
        ports = (int.from_bytes(body[:2]), int.from_bytes(body[2:4])) if len(body) >= 8 else None
        flags = TcpFlag(body[13] & 0x17) if ip.protocol == TCP and len(body) >= 14 else None
        return replace(bare, ports=ports, flags=flags)
    if ip.protocol in (ICMP4, ICMP6):
        if ip.protocol != _icmp_of(ip.source) or len(body) < 8:
            return replace(bare, ports=None)
        message = _MESSAGES[ip.protocol].get(body[0], Message.OTHER)
        echo = message in (Message.ECHO_REQUEST, Message.ECHO_REPLY)
        identifier = int.from_bytes(body[4:6]) if echo else 0
        return replace(bare, message=message, ports=(identifier, identifier), icmp_type=body[0])
    return bare


def _icmp_of(address: Address) -> int:
    return ICMP4 if address.version == 4 else ICMP6


def _quoted(data: bytes, outer: Packet) -> Packet | None:
    """The packet inside an ICMP error; None where question 3 finds fault with its bytes."""
    header = _read(data, whole=False)
    if isinstance(header, Reason) or header.source.version != outer.source.version:
        return None
    inner = _next_layer(header)
    # Eight bytes of it hold the ports; without them nobody can say which flow it was.
    if inner.ports is None or inner.message in (Message.ERROR, Message.STEERING):
        return None
    return inner if inner.source == outer.destination else None
