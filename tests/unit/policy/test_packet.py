# SPDX-License-Identifier: Apache-2.0
"""Questions 2 and 3 of docs/packet-path.md, sentence by sentence."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from krait.common.reason import Reason
from krait.policy.fragment import Fragment
from krait.policy.packet import Message, Packet, TcpFlag, parse
from tests.strategies.packets import (
    ACK,
    HOP_BY_HOP,
    SYN,
    Extension,
    echo,
    error,
    ethertype,
    icmp,
    ip,
    ip4,
    ip6,
    tcp,
    udp,
)

A4, B4, C4 = "10.8.0.1", "10.8.0.2", "10.8.0.3"
A6, B6, C6 = "fd00:8::1", "fd00:8::2", "fd00:8::3"
SYN_80 = tcp(40000, 80, SYN)
MORE_FRAGMENTS = 0x2000
DATA = bytes(16)
DATAGRAM = tcp(40000, 80, SYN, bytes(4))
NO_NEXT_HEADER = 59

STEERING4 = {5: "a redirect", 9: "a router's advertisement", 10: "a router's solicitation"}
STEERING6 = {
    133: "a router's solicitation",
    134: "a router's advertisement",
    135: "a neighbour's solicitation",
    136: "a neighbour's advertisement",
    137: "a redirect",
}

options, routing, fragment = Extension.options, Extension.routing, Extension.fragment


def chain(*extensions: Extension, body: bytes = SYN_80) -> bytes:
    return ip6(A6, B6, 6, body, extensions=extensions)


def read(frame: bytes) -> Packet | Reason:
    return parse(frame, ethertype(frame))


DROPPED = {
    "an empty frame": (b"", Reason.MALFORMED),
    "19 bytes": (ip4(A4, B4, 6)[:19], Reason.MALFORMED),
    "version 5": (b"\x55" + ip4(A4, B4, 6)[1:], Reason.MALFORMED),
    "IPv4 header length of 16": (ip4(A4, B4, 6, SYN_80, header=16), Reason.MALFORMED),
    "IPv4 options beyond the total length": (
        ip4(A4, B4, 6, SYN_80, header=60, total=56),
        Reason.MALFORMED,
    ),
    "IPv4 total length below the header's": (ip4(A4, B4, 6, SYN_80, total=19), Reason.MALFORMED),
    "IPv4 total length beyond the frame": (ip4(A4, B4, 6, SYN_80, total=41), Reason.MALFORMED),
    "an IPv4 fragment of 20 bytes that is not the last": (
        ip4(A4, B4, 6, SYN_80, fragment=MORE_FRAGMENTS),
        Reason.MALFORMED,
    ),
    "an IPv4 fragment of nothing": (ip4(A4, B4, 6, fragment=1), Reason.MALFORMED),
    "a fragment up to byte 65,536": (ip4(A4, B4, 6, DATA, fragment=8190), Reason.MALFORMED),
    "a later fragment of ICMPv6 in IPv4": (ip4(A4, B4, 58, DATA, fragment=1), Reason.MALFORMED),
    "lengths are asked before the fragment": (
        ip4(A4, B4, 6, SYN_80, fragment=1, total=41),
        Reason.MALFORMED,
    ),
    "the fragment is asked before the destination": (
        ip4(A4, "224.0.0.1", 6, SYN_80, fragment=MORE_FRAGMENTS),
        Reason.MALFORMED,
    ),
    "39 bytes of IPv6": (ip6(A6, B6, 6)[:39], Reason.MALFORMED),
    "IPv6 payload beyond the frame": (ip6(A6, B6, 6, SYN_80, payload=21), Reason.MALFORMED),
    "five extension headers": (chain(*[options()] * 5), Reason.MALFORMED),
    "a fifth that is a later fragment": (
        chain(*[options()] * 4, fragment(8)),
        Reason.MALFORMED,
    ),
    "an extension header cut off by the payload length": (
        ip6(A6, B6, 6, SYN_80, extensions=[options(units=2)], payload=16),
        Reason.MALFORMED,
    ),
    "an extension header with 7 bytes": (
        ip6(A6, B6, 6, extensions=[options()], payload=7),
        Reason.MALFORMED,
    ),
    "hop-by-hop in second place": (
        chain(options(), options(HOP_BY_HOP)),
        Reason.MALFORMED,
    ),
    "segments left": (chain(routing(1)), Reason.SOURCE_ROUTE),
    "segments left, after others": (
        chain(options(HOP_BY_HOP), options(), routing(255)),
        Reason.SOURCE_ROUTE,
    ),
    "an IPv6 fragment of 20 bytes that is not the last": (chain(fragment(8)), Reason.MALFORMED),
    "an IPv6 fragment of nothing": (chain(fragment(8), body=b""), Reason.MALFORMED),
    "a second fragment header": (chain(fragment(0), fragment(8), body=DATA), Reason.MALFORMED),
    "a second one, after a whole datagram's": (
        chain(fragment(0, more=False), fragment(8), body=DATA),
        Reason.MALFORMED,
    ),
    "the chain is asked in its order": (
        chain(routing(1), fragment(8)),
        Reason.SOURCE_ROUTE,
    ),
    "a first fragment that ends in the chain": (
        ip6(A6, B6, 60, DATA, extensions=[fragment(0)])[:-8] + bytes((6, 1)) + bytes(6),
        Reason.MALFORMED,
    ),
    "IPv4 multicast source": (ip4("224.0.0.1", B4, 6, SYN_80), Reason.MALFORMED),
    "IPv4 broadcast source": (ip4("255.255.255.255", B4, 6, SYN_80), Reason.MALFORMED),
    "IPv6 multicast source": (ip6("ff02::1", B6, 6, SYN_80), Reason.MALFORMED),
    "IPv4 broadcast": (ip4(A4, "255.255.255.255", 17, udp(1, 2)), Reason.MULTICAST),
    "IPv4 class E": (ip4(A4, "240.0.0.1", 17, udp(1, 2)), Reason.MULTICAST),
    "IPv6's last multicast": (ip6(A6, "ffff::1", 17, udp(1, 2)), Reason.MULTICAST),
    "ICMP in IPv6": (ip6(A6, B6, 1, echo(8, 7)), Reason.MALFORMED),
    "ICMPv6 in IPv4": (ip4(A4, B4, 58, echo(128, 7)), Reason.MALFORMED),
    "7 bytes of ICMP": (ip4(A4, B4, 1, echo(8, 7)[:7]), Reason.MALFORMED),
    "7 bytes of ICMPv6": (ip6(A6, B6, 58, echo(128, 7)[:7]), Reason.MALFORMED),
    "8 bytes of ICMP, the last only padding": (
        ip4(A4, B4, 1, echo(8, 7), total=27),
        Reason.MALFORMED,
    ),
    **{
        f"{name} (ICMP type {kind})": (ip4(A4, B4, 1, icmp(kind)), Reason.REDIRECT)
        for kind, name in STEERING4.items()
    },
    **{
        f"{name} (ICMPv6 type {kind})": (ip6(A6, B6, 58, icmp(kind)), Reason.REDIRECT)
        for kind, name in STEERING6.items()
    },
    "a router's advertisement to all nodes": (
        ip6("fe80::2", "ff02::1", 58, icmp(134)),
        Reason.REDIRECT,
    ),
    "one in the first of several fragments": (
        ip6(A6, B6, 58, icmp(134, 0, bytes(12)), extensions=[fragment(0)]),
        Reason.REDIRECT,
    ),
}


@pytest.mark.parametrize(("frame", "reason"), DROPPED.values(), ids=DROPPED.keys())
def test_a_packet_is_dropped_unread(frame: bytes, reason: Reason) -> None:
    assert read(frame) is reason


PLAIN4 = Packet(ip_address(A4), ip_address(B4), 6, ports=(40000, 80), flags=TcpFlag.SYN)
PLAIN6 = replace(PLAIN4, source=ip_address(A6), destination=ip_address(B6))
BARE4 = replace(PLAIN4, ports=(0, 0), flags=None)
BARE6 = replace(PLAIN6, ports=(0, 0), flags=None)
TAKEN = {
    "TCP over IPv4": (ip4(A4, B4, 6, SYN_80), PLAIN4),
    "padding after the packet": (ip4(A4, B4, 6, SYN_80) + bytes(6), PLAIN4),
    "IPv4 options": (ip4(A4, B4, 6, SYN_80, options=bytes(40)), PLAIN4),
    "a first fragment": (
        ip4(A4, B4, 6, DATAGRAM, fragment=MORE_FRAGMENTS),
        replace(PLAIN4, fragment=Fragment(1, 6, offset=0, length=24)),
    ),
    "a later fragment, of which no port is read": (
        ip4(A4, B4, 6, DATAGRAM, fragment=MORE_FRAGMENTS | 0x1000),
        replace(BARE4, fragment=Fragment(1, 6, offset=32_768, length=24)),
    ),
    "the last fragment, up to byte 65,535": (
        ip4(A4, B4, 17, bytes(15), fragment=8190, identifier=0xABCD),
        replace(BARE4, protocol=17, fragment=Fragment(0xABCD, 17, offset=65_520, length=15)),
    ),
    "a later fragment of ICMP, whatever its bytes": (
        ip4(A4, B4, 1, b"\x05", fragment=1),
        replace(BARE4, protocol=1, fragment=Fragment(1, 1, offset=8, length=1)),
    ),
    "a first fragment of IPv6": (
        chain(fragment(0), body=DATAGRAM),
        replace(PLAIN6, fragment=Fragment(7, 0, offset=0, length=24)),
    ),
    "a later fragment of IPv6, which ends the chain": (
        chain(options(), fragment(8, more=False), Extension(HOP_BY_HOP, bytes(6)), body=b""),
        replace(BARE6, protocol=0, fragment=Fragment(7, 0, offset=8, length=7)),
    ),
    "a datagram in one fragment": (chain(fragment(0, more=False)), PLAIN6),
    "TCP over IPv6": (ip6(A6, B6, 6, SYN_80), PLAIN6),
    "four extension headers": (
        chain(options(HOP_BY_HOP), routing(0), fragment(0, more=False), options(units=3)),
        PLAIN6,
    ),
    "unused flags": (ip4(A4, B4, 6, tcp(40000, 80, 0xE8 | SYN)), PLAIN4),
    "13 bytes of TCP": (ip4(A4, B4, 6, SYN_80[:13]), replace(PLAIN4, flags=None)),
    "7 bytes of TCP": (ip4(A4, B4, 6, SYN_80[:7]), replace(PLAIN4, ports=None, flags=None)),
    "8 bytes of TCP, the rest padding": (
        ip4(A4, B4, 6, SYN_80, total=28),
        replace(PLAIN4, flags=None),
    ),
    "UDP": (ip4(A4, B4, 17, udp(1, 53)), replace(PLAIN4, protocol=17, ports=(1, 53), flags=None)),
    "7 bytes of UDP": (
        ip4(A4, B4, 17, udp(1, 53)[:7]),
        replace(PLAIN4, protocol=17, ports=None, flags=None),
    ),
    "a protocol without ports": (
        ip4(A4, B4, 47, SYN_80),
        replace(PLAIN4, protocol=47, ports=(0, 0), flags=None),
    ),
    "any other number ends the chain": (
        chain(options(), Extension(NO_NEXT_HEADER, bytes(7))),
        replace(PLAIN6, protocol=NO_NEXT_HEADER, ports=(0, 0), flags=None),
    ),
    "echo request": (
        ip4(A4, B4, 1, echo(8, 7)),
        replace(
            PLAIN4, protocol=1, message=Message.ECHO_REQUEST, ports=(7, 7), icmp_type=8, flags=None
        ),
    ),
    "echo reply over IPv6": (
        ip6(A6, B6, 58, echo(129, 7)),
        replace(
            PLAIN6, protocol=58, message=Message.ECHO_REPLY, ports=(7, 7), icmp_type=129, flags=None
        ),
    ),
    "any other message": (
        ip4(A4, B4, 1, echo(13, 7)),
        replace(BARE4, protocol=1, message=Message.OTHER, icmp_type=13),
    ),
}


@pytest.mark.parametrize(("frame", "packet"), TAKEN.values(), ids=TAKEN.keys())
def test_a_packet_is_read(frame: bytes, packet: Packet) -> None:
    assert read(frame) == packet


@pytest.mark.parametrize("kind", [128, 129, 130, 131, 132, 138, 143, 255])
def test_what_steers_no_host_is_left_to_the_rules(kind: int) -> None:
    found = read(ip6(A6, B6, 58, icmp(kind)))
    assert isinstance(found, Packet)
    assert found.icmp_type == kind


def test_a_version_that_contradicts_the_frame_is_malformed() -> None:
    assert parse(ip4(A4, B4, 6, SYN_80), 0x86DD) is Reason.MALFORMED
    assert parse(ip6(A6, B6, 6, SYN_80), 0x0800) is Reason.MALFORMED
    assert parse(ip4(A4, B4, 6, SYN_80), 0x0806) is Reason.MALFORMED
    assert parse(ip4(A4, B4, 6, SYN_80, fragment=1), 0x86DD) is Reason.MALFORMED


@pytest.mark.parametrize("kind", [3, 4, 11, 12])
def test_an_error_of_icmp_brings_the_packet_it_is_about(kind: int) -> None:
    found = read(error(C4, A4, kind, ip4(A4, B4, 6, SYN_80)[:28]))
    assert isinstance(found, Packet)
    assert found.inner == replace(PLAIN4, flags=None)


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4, 100, 127])
def test_an_error_of_icmpv6_brings_the_packet_it_is_about(kind: int) -> None:
    found = read(error(C6, A6, kind, chain(options())))
    assert isinstance(found, Packet)
    assert found.inner == PLAIN6


def test_the_lengths_that_an_error_quotes_are_not_looked_at() -> None:
    for about in (
        ip4(A4, B4, 6, SYN_80, total=1500),
        ip4(A4, B4, 6, SYN_80, total=0),
    ):
        assert isinstance(read(error(C4, A4, 3, about)), Packet)
    assert isinstance(read(error(C6, A6, 2, ip6(A6, B6, 6, SYN_80, payload=1400))), Packet)


BAD_ERRORS = {
    "nothing": error(C4, A4, 3, b""),
    "19 bytes": error(C4, A4, 3, ip4(A4, B4, 6)[:19]),
    "7 bytes of TCP": error(C4, A4, 3, ip4(A4, B4, 6, SYN_80)[:27]),
    "7 bytes of UDP": error(C4, A4, 3, ip4(A4, B4, 17, udp(1, 2))[:27]),
    "7 bytes of ICMP": error(C4, A4, 3, ip4(A4, B4, 1, echo(8, 7))[:27]),
    "the other family": error(C4, A4, 3, ip6(A6, B6, 6, SYN_80)),
    "the other family, in IPv6": error(C6, A6, 1, ip4(A4, B4, 6, SYN_80)),
    "IPv4 header length of 16": error(C4, A4, 3, ip4(A4, B4, 6, SYN_80, header=16)),
    "IPv4 options that are not there": error(
        C4, A4, 3, ip4(A4, B4, 6, SYN_80, options=bytes(40))[:59]
    ),
    "a later fragment": error(C4, A4, 3, ip4(A4, B4, 6, DATAGRAM, fragment=1)),
    "a packet, itself in fragments": ip4(
        C4,
        A4,
        1,
        icmp(3, 0, bytes(4) + ip4(A4, B4, 6, DATAGRAM + bytes(4))),
        fragment=MORE_FRAGMENTS,
    ),
    "segments left": error(C6, A6, 3, chain(routing(1))),
    "a chain that is cut off": error(C6, A6, 3, chain(options(units=4))[:70]),
    "multicast": error(C4, A4, 3, ip4(A4, "224.0.0.1", 6, SYN_80)),
    "IPv6 multicast": error(C6, A6, 3, ip6(A6, "ff02::1", 6, SYN_80)),
    "an error": error(C4, A4, 3, error(A4, B4, 3, ip4(B4, A4, 6, SYN_80))),
    **{name: error(C4, A4, 3, ip4(A4, B4, 1, icmp(kind))) for kind, name in STEERING4.items()},
    **{
        f"{name} of IPv6": error(C6, A6, 1, ip6(A6, B6, 58, icmp(kind)))
        for kind, name in STEERING6.items()
    },
    "ICMP of the wrong family": error(C4, A4, 3, ip4(A4, B4, 58, echo(128, 7))),
    "another's packet": error(C4, A4, 3, ip4(B4, A4, 6, SYN_80)),
}


@pytest.mark.parametrize("frame", BAD_ERRORS.values(), ids=BAD_ERRORS.keys())
def test_an_error_that_quotes_what_cannot_be_is_a_bad_error(frame: bytes) -> None:
    assert read(frame) is Reason.BAD_ERROR


def test_segments_are_told_apart_by_their_flags() -> None:
    def flags(value: int) -> Packet:
        found = read(ip(A4, B4, 6, tcp(1, 2, value)))
        assert isinstance(found, Packet)
        return found

    assert flags(SYN).opens_tcp
    assert not flags(SYN).picks_up_tcp
    assert flags(ACK).picks_up_tcp
    assert not flags(SYN | ACK).opens_tcp
    assert not flags(SYN | ACK).picks_up_tcp
