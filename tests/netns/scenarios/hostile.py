# SPDX-License-Identifier: Apache-2.0
"""What a hostile peer may send through the tunnel: packets by name, and the reason they drop for.

All come from Alice, whose WireGuard key vouches for any source that is no other peer's. Bob lets
her open TCP and UDP port 80, and denies TCP port 22 by a rule.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from krait.policy.model import Address
from tests.strategies.packets import (
    ACK,
    FIN,
    FRAGMENT,
    HOP_BY_HOP,
    PSH,
    ROUTING,
    RST,
    SYN,
    URG,
    Extension,
    echo,
    error,
    icmp,
    ip,
    ip4,
    ip6,
    tcp,
    udp,
)

TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
OPTIONS = Extension.options()
DENIED = MappingProxyType({"denied": 1, "rule default": 1})
BY_RULE = MappingProxyType({"denied": 1, "rule no-ssh": 1})
SPORT = 40000


@dataclass(frozen=True, slots=True)
class Ends:
    """Who is who, of one family."""

    alice: Address
    bob: Address
    carol: Address
    nobody: Address  # in the mesh
    stranger: Address  # outside of it

    def sent(self, protocol: int, body: bytes) -> bytes:
        """A plain packet from Alice to Bob."""
        return ip(self.alice, self.bob, protocol, body)

    @property
    def icmp(self) -> int:
        return ICMP if self.alice.version == 4 else ICMP6


Packets = Callable[[Ends], Sequence[bytes]]
Case = tuple[Packets, MappingProxyType[str, int]]


def drop(reason: str, packets: int = 1) -> MappingProxyType[str, int]:
    return MappingProxyType({reason: packets})


def segment(flags: int, port: int = 80) -> Packets:
    return lambda e: [e.sent(TCP, tcp(SPORT, port, flags))]


def of(protocol: int, body: bytes) -> Packets:
    return lambda e: [e.sent(protocol, body)]


def chain(*extensions: Extension, port: int = 80, payload: int | None = None) -> Packets:
    def made(e: Ends) -> list[bytes]:
        body = tcp(SPORT, port, SYN)
        return [ip6(e.alice, e.bob, TCP, body, extensions=extensions, payload=payload)]

    return made


def with_header(**lies: int | bytes) -> Packets:
    return lambda e: [ip4(e.alice, e.bob, UDP, udp(SPORT, 80), **lies)]  # type: ignore[arg-type]


def about(quoted: Callable[[Ends], bytes], kind: Callable[[Ends], int] | None = None) -> Packets:
    """An ICMP error to Bob: that something is unreachable, unless it is another."""

    def made(e: Ends) -> list[bytes]:
        unreachable = 3 if e.icmp == ICMP else 1
        return [error(e.alice, e.bob, kind(e) if kind else unreachable, quoted(e))]

    return made


def answer(e: Ends) -> bytes:
    """What Bob might have sent to Alice, and did not."""
    return ip(e.bob, e.alice, UDP, udp(80, SPORT + 1))


def jumbogram(e: Ends) -> list[bytes]:
    """RFC 2675: the length is 0, and the real one is in an option."""
    option = bytes((0, 0xC2, 4)) + (70_000).to_bytes(4, "big")
    jumbo = Extension(HOP_BY_HOP, option)
    return [ip6(e.alice, e.bob, TCP, tcp(SPORT, 80, SYN), extensions=[jumbo], payload=0)]


def fragmented_error(e: Ends) -> list[bytes]:
    body = icmp(3, 0, bytes(4) + answer(e) + bytes(4))
    if e.icmp == ICMP:
        return [ip4(e.alice, e.bob, ICMP, body, fragment=0x2000, identifier=11)]
    body = icmp(1, 0, bytes(4) + answer(e))
    first = Extension.fragment(0, more=True)
    return [ip6(e.alice, e.bob, ICMP6, body, extensions=[first])]


def other_family(e: Ends) -> bytes:
    if e.icmp == ICMP:
        return ip6("fd7a:6b72::2", "fd7a:6b72::1", UDP, udp(80, SPORT))
    return ip4("10.8.0.2", "10.8.0.1", UDP, udp(80, SPORT))


BOTH: dict[str, Case] = {
    # Flags that no honest stack sends, to a port that is open.
    "no flags": (segment(0), drop("no-flow")),
    "FIN alone": (segment(FIN), drop("no-flow")),
    "XMAS": (segment(FIN | PSH | URG), drop("no-flow")),
    "all flags": (segment(0x3F), drop("no-flow")),
    "SYN and RST": (segment(SYN | RST), drop("no-flow")),
    "SYN, FIN and ACK": (segment(SYN | FIN | ACK), drop("no-flow")),
    "SYN and ACK": (segment(SYN | ACK), drop("no-flow")),
    "a reset": (segment(RST), drop("no-flow")),
    "a reset with ACK": (segment(RST | ACK), drop("no-flow")),
    # To ports that are not.
    "SYN and FIN": (segment(SYN | FIN, 81), DENIED),
    "SYN and FIN against a rule": (segment(SYN | FIN, 22), BY_RULE),
    "ACK alone": (segment(ACK, 22), BY_RULE),
    "ACK and FIN": (segment(ACK | FIN, 81), DENIED),
    "ACK from the port that is open": (of(TCP, tcp(80, 22, ACK)), BY_RULE),
    "port 0": (of(UDP, udp(0, 0)), DENIED),
    # Cut short.
    "13 bytes of TCP": (of(TCP, tcp(SPORT, 80, SYN)[:13]), drop("malformed")),
    "7 bytes of UDP": (of(UDP, udp(SPORT, 80)[:7]), drop("malformed")),
    "7 bytes of SCTP": (of(132, bytes(7)), drop("malformed")),
    "7 bytes of ICMP": (lambda e: [e.sent(e.icmp, bytes(7))], drop("malformed")),
    "ICMP of the other family": (
        lambda e: [e.sent(ICMP + ICMP6 - e.icmp, echo(8, 1))],
        drop("malformed"),
    ),
    "nothing behind the header": (of(TCP, b""), drop("malformed")),
    # What is inside counts for nothing.
    "a tunnel in the tunnel": (
        lambda e: [e.sent(4, ip4("10.8.0.3", "10.8.0.2", TCP, tcp(SPORT, 80, SYN)))],
        DENIED,
    ),
    "GRE": (of(47, bytes(24)), DENIED),
    "ESP": (of(50, bytes(24)), DENIED),
    "AH before TCP": (of(51, bytes((TCP, 4)) + bytes(22) + tcp(SPORT, 80, SYN)), DENIED),
    "protocol 255": (of(255, udp(SPORT, 80)), DENIED),
    # ICMP.
    "a ping": (lambda e: [e.sent(e.icmp, echo(8 if e.icmp == ICMP else 128, 1))], DENIED),
    "a ping's answer": (
        lambda e: [e.sent(e.icmp, echo(0 if e.icmp == ICMP else 129, 1))],
        drop("no-flow"),
    ),
    "a redirect": (
        lambda e: [error(e.alice, e.bob, 5 if e.icmp == ICMP else 137, answer(e))],
        drop("redirect"),
    ),
    "an error about nothing": (about(answer), drop("no-flow")),
    "an error that the packet is too large": (
        about(answer, lambda e: 3 if e.icmp == ICMP else 2),
        drop("no-flow"),
    ),
    "an error about what went to Carol": (
        about(lambda e: ip(e.bob, e.carol, UDP, udp(80, SPORT))),
        drop("bad-error"),
    ),
    "an error about what went elsewhere": (
        about(lambda e: ip(e.bob, e.stranger, UDP, udp(80, SPORT))),
        drop("no-identity"),
    ),
    "an error about another's packet": (
        about(lambda e: ip(e.carol, e.alice, UDP, udp(80, SPORT))),
        drop("bad-error"),
    ),
    "an error about an error": (
        about(lambda e: error(e.bob, e.alice, 3 if e.icmp == ICMP else 1, answer(e))),
        drop("bad-error"),
    ),
    "an error about a redirect": (
        about(lambda e: error(e.bob, e.alice, 5 if e.icmp == ICMP else 137, answer(e))),
        drop("bad-error"),
    ),
    "an error about half a header": (about(lambda e: answer(e)[:19]), drop("bad-error")),
    "an error without the ports": (about(lambda e: answer(e)[:-1]), drop("bad-error")),
    "an error about nothing at all": (about(lambda _: b""), drop("bad-error")),
    "an error about the other family": (about(other_family), drop("bad-error")),
    "an error in fragments": (fragmented_error, drop("bad-error")),
    # Who is it?
    "Bob's own address": (
        lambda e: [ip(e.bob, e.bob, UDP, udp(SPORT, 80))],
        drop("wrong-side"),
    ),
    "an address of nobody": (
        lambda e: [ip(e.nobody, e.bob, UDP, udp(SPORT, 80))],
        drop("no-identity"),
    ),
    "an address of elsewhere": (
        lambda e: [ip(e.stranger, e.bob, UDP, udp(SPORT, 80))],
        drop("no-identity"),
    ),
    "to Carol, through Bob": (
        lambda e: [ip(e.alice, e.carol, UDP, udp(SPORT, 80))],
        drop("not-transit"),
    ),
    "to nobody": (lambda e: [ip(e.alice, e.nobody, UDP, udp(SPORT, 80))], drop("not-transit")),
}  # fmt: skip
FOUR: dict[str, Case] = {
    "a header of 16 bytes": (with_header(header=16), drop("malformed")),
    "a header that is longer than the packet": (with_header(header=60), drop("malformed")),
    "a length of the header alone": (with_header(total=20), drop("malformed")),
    "a length that ends in the ports": (with_header(total=27), drop("malformed")),
    "from a multicast address": (
        lambda e: [ip4("224.0.0.1", e.bob, UDP, udp(SPORT, 80))],
        drop("malformed"),
    ),
    "from 255.255.255.255": (
        lambda e: [ip4("255.255.255.255", e.bob, UDP, udp(SPORT, 80))],
        drop("malformed"),
    ),
    "from a link-local address": (
        lambda e: [ip4("169.254.1.1", e.bob, UDP, udp(SPORT, 80))],
        drop("link-local"),
    ),
    "from 127.0.0.1": (
        lambda e: [ip4("127.0.0.1", e.bob, UDP, udp(SPORT, 80))],
        drop("no-identity"),
    ),
    "to 127.0.0.1": (
        lambda e: [ip4(e.alice, "127.0.0.1", UDP, udp(SPORT, 80))],
        drop("not-transit"),
    ),
    "a router's advertisement": (of(ICMP, icmp(9, 0, bytes(12))), drop("redirect")),
    "a router's solicitation": (of(ICMP, icmp(10)), drop("redirect")),
    "the port of a rule behind a source route": (
        lambda e: [
            ip4(e.alice, e.bob, TCP, tcp(SPORT, 22, SYN), options=bytes((131, 7, 4)) + bytes(5))
        ],
        BY_RULE,
    ),
}
SIX: dict[str, Case] = {
    "five extension headers": (chain(*[OPTIONS] * 5), drop("malformed")),
    "fifty extension headers": (chain(*[OPTIONS] * 50), drop("malformed")),
    "a port behind four": (chain(*[OPTIONS] * 4, port=22), BY_RULE),
    "a port behind a long one": (chain(Extension.options(units=60), port=22), BY_RULE),
    "hop-by-hop twice": (chain(*[Extension.options(HOP_BY_HOP)] * 2), drop("malformed")),
    "hop-by-hop second": (chain(OPTIONS, Extension.options(HOP_BY_HOP)), drop("malformed")),
    "an option that ends behind the packet": (
        chain(Extension(HOP_BY_HOP, bytes((200,)) + bytes(6))),
        drop("malformed"),
    ),
    "two fragment headers": (chain(*[Extension.fragment()] * 2), drop("malformed")),
    "two fragment headers, and no fragments": (
        chain(*[Extension.fragment(more=False)] * 2),
        drop("malformed"),
    ),
    "a fragment header cut short": (
        lambda e: [ip6(e.alice, e.bob, FRAGMENT, bytes(7))],
        drop("malformed"),
    ),
    "a port in a fragment that is all": (chain(Extension.fragment(more=False), port=22), BY_RULE),
    "a source route": (chain(Extension.routing(1)), drop("source-route")),
    "a source route behind options": (
        chain(OPTIONS, Extension.routing(255)),
        drop("source-route"),
    ),
    "a segment route": (
        chain(Extension(ROUTING, bytes((2, 4, 1)) + bytes(20))),
        drop("source-route"),
    ),
    "a port behind a route that is over": (chain(Extension.routing(0), port=22), BY_RULE),
    "a jumbogram": (jumbogram, drop("malformed")),
    "a payload of nothing": (chain(payload=0), drop("malformed")),
    "a payload that ends in the ports": (chain(payload=13), drop("malformed")),
    "no next header": (of(59, bytes(8)), DENIED),
    "from a multicast address": (
        lambda e: [ip6("ff02::1", e.bob, UDP, udp(SPORT, 80))],
        drop("malformed"),
    ),
    "from a link-local address": (
        lambda e: [ip6("fe80::1", e.bob, UDP, udp(SPORT, 80))],
        drop("link-local"),
    ),
    "from ::1": (lambda e: [ip6("::1", e.bob, UDP, udp(SPORT, 80))], drop("no-identity")),
    "from Bob, in an IPv4 address that is mapped": (
        lambda e: [ip6("::ffff:10.8.0.2", e.bob, UDP, udp(SPORT, 80))],
        drop("no-identity"),
    ),
    "a router's solicitation": (of(ICMP6, icmp(133)), drop("redirect")),
    "a router's advertisement": (of(ICMP6, icmp(134, 0, bytes(12))), drop("redirect")),
    "a router's advertisement from a link-local address": (
        lambda e: [ip6("fe80::1", e.bob, ICMP6, icmp(134, 0, bytes(12)))],
        drop("redirect"),
    ),
    "a router's advertisement to all nodes": (
        lambda _: [ip6("fe80::1", "ff02::1", ICMP6, icmp(134, 0, bytes(12)))],
        drop("redirect"),
    ),
    "a neighbour's solicitation": (of(ICMP6, icmp(135, 0, bytes(20))), drop("redirect")),
    "a neighbour's advertisement": (of(ICMP6, icmp(136, 0, bytes(20))), drop("redirect")),
}
CASES: dict[str, tuple[int, Packets, MappingProxyType[str, int]]] = {
    f"{name}, IPv{version}": (version, *case)
    for version, cases in ((4, BOTH | FOUR), (6, BOTH | SIX))
    for name, case in cases.items()
}
"""By name: the version of IP, the packets, and by how much each counter moves."""
