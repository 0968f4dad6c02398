# SPDX-License-Identifier: Apache-2.0
"""Bytes of packets, honest by default: each field that a test wants to lie about is an argument.

Nothing is shared with krait.policy.packet, so that a test does not read what it wrote by the same
mistake. Checksums are left 0: neither Krait nor the hooks look at them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from struct import pack

from krait.policy.model import Address

ETHERNET_BYTES = 14
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS = 0, 43, 44, 60
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32


@dataclass(frozen=True)
class Extension:
    """An IPv6 extension header without its first byte, which names the next."""

    number: int
    rest: bytes

    @classmethod
    def options(cls, number: int = DESTINATION_OPTIONS, units: int = 0) -> "Extension":
        """Hop-by-hop or destination options, all Pad1, over `units` + 1 times 8 bytes."""
        return cls(number, bytes((units,)) + bytes(units * 8 + 6))

    @classmethod
    def routing(cls, segments_left: int = 0) -> "Extension":
        return cls(ROUTING, bytes((0, 4, segments_left)) + bytes(4))

    @classmethod
    def fragment(
        cls, offset_bytes: int = 0, *, more: bool = True, identifier: int = 7
    ) -> "Extension":
        return cls(FRAGMENT, pack(">BHI", 0, offset_bytes | more, identifier))


def address(text: str | Address) -> Address:
    return ip_address(text) if isinstance(text, str) else text


def tcp(source_port: int, destination_port: int, flags: int, data: bytes = b"") -> bytes:
    ports = pack(">HHII", source_port, destination_port, 1, 1)
    return ports + bytes((5 << 4, flags)) + pack(">HHH", 512, 0, 0) + data


def udp(source_port: int, destination_port: int, data: bytes = b"") -> bytes:
    return pack(">HHHH", source_port, destination_port, 8 + len(data), 0) + data


def sctp(source_port: int, destination_port: int, data: bytes = b"") -> bytes:
    return pack(">HHII", source_port, destination_port, 1, 0) + data


def icmp(kind: int, code: int = 0, rest: bytes = bytes(4)) -> bytes:
    """Type, code, checksum, and all that follows."""
    return bytes((kind, code, 0, 0)) + rest


def echo(kind: int, identifier: int, sequence: int = 1) -> bytes:
    return icmp(kind, 0, pack(">HH", identifier, sequence))


def ip4(
    source: str | Address,
    destination: str | Address,
    protocol: int,
    body: bytes = b"",
    *,
    options: bytes = b"",
    total: int | None = None,
    header: int | None = None,
    fragment: int = 0,
    identifier: int = 1,
) -> bytes:
    """`header` and `total` are the lengths claimed, in bytes; `fragment` is flags and offset."""
    start = 20 + len(options)
    claimed = start if header is None else header
    total = start + len(body) if total is None else total
    lead = pack(">BBHHHBBH", 4 << 4 | claimed // 4, 0, total, identifier, fragment, 64, protocol, 0)
    return lead + address(source).packed + address(destination).packed + options + body


def ip6(
    source: str | Address,
    destination: str | Address,
    protocol: int,
    body: bytes = b"",
    *,
    extensions: Sequence[Extension] = (),
    payload: int | None = None,
) -> bytes:
    """`payload` is the length claimed, in bytes."""
    numbers = [extension.number for extension in extensions] + [protocol]
    chain = b"".join(
        bytes((following,)) + extension.rest
        for extension, following in zip(extensions, numbers[1:], strict=True)
    )
    length = len(chain) + len(body) if payload is None else payload
    lead = pack(">IHBB", 6 << 28, length, numbers[0], 64)
    return lead + address(source).packed + address(destination).packed + chain + body


def ip(
    source: str | Address, destination: str | Address, protocol: int, body: bytes = b""
) -> bytes:
    """A plain packet of the addresses' own family."""
    make = ip4 if isinstance(address(source), IPv4Address) else ip6
    return make(source, destination, protocol, body)


def error(source: str | Address, destination: str | Address, kind: int, about: bytes) -> bytes:
    """An ICMP error of the family of `source`, which quotes `about`."""
    protocol = 1 if isinstance(address(source), IPv4Address) else 58
    return ip(source, destination, protocol, icmp(kind, 0, bytes(4) + about))


def ethertype(packet: bytes) -> int:
    """The honest one: by the version nibble."""
    return 0x86DD if packet[:1] and packet[0] >> 4 == 6 else 0x0800


def ethernet(packet: bytes, kind: int) -> bytes:
    """The frame that BPF_PROG_TEST_RUN wants: 14 bytes of Ethernet header before the IP header."""
    return bytes(12) + pack(">H", kind) + packet
