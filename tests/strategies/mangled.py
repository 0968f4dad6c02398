# SPDX-License-Identifier: Apache-2.0
"""Bytes that are nearly a packet: valid ones with bits turned, lengths that lie, parts of two.

By a plain generator of random numbers, for there are tens of thousands of them a run.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from krait.policy.model import Address
from tests.strategies.fragments import cut
from tests.strategies.packets import (
    ACK,
    HOP_BY_HOP,
    SYN,
    Extension,
    echo,
    error,
    ethertype,
    icmp,
    ip4,
    ip6,
    sctp,
    tcp,
    udp,
)

MOST_BYTES = 1600
ETHERTYPES = (0x0800, 0x86DD, 0x0806, 0x8847)
LENGTHS = (0, 1, 4, 5, 6, 7, 8, 13, 14, 15, 19, 20, 27, 28, 39, 40, 41, 44, 48, 60, 255)
_OPTIONS, _ROUTING = Extension.options, Extension.routing


@dataclass(frozen=True, slots=True)
class Mangled:
    """A frame from where its IP header should be."""

    frame: bytes
    ethertype: int
    side: Literal["ingress", "egress"]
    came_in: bool

    def __str__(self) -> str:
        came_in = ", came in here" if self.came_in else ""
        return f"{self.side}{came_in} {self.ethertype:#06x} {self.frame.hex()}"


def mangled(random: Random, addresses: Sequence[Address]) -> Iterator[Mangled]:
    """Without end; one in eight is a valid packet as it was made."""
    while True:
        frame = _valid(random, addresses)
        for _ in range(random.choice((0, 1, 1, 1, 2, 2, 3, 5))):
            frame = _changed(random, frame, _valid(random, addresses))
        frame = frame[:MOST_BYTES] or b"\0"
        kind = ethertype(frame) if random.random() < 0.95 else random.choice(ETHERTYPES)
        side: Literal["ingress", "egress"] = random.choice(("ingress", "egress"))
        yield Mangled(frame, kind, side, random.random() < 0.5)


def _valid(random: Random, addresses: Sequence[Address]) -> bytes:
    source = random.choice(addresses)
    destination = random.choice([each for each in addresses if each.version == source.version])
    plain = _plain(random, source, destination)
    if random.random() < 0.25:
        kind = random.choice(
            (3, 4, 5, 9, 11, 12) if source.version == 4 else (1, 2, 3, 4, 134, 137)
        )
        router = random.choice([each for each in addresses if each.version == source.version])
        sender = random.choice((destination, destination, router))
        return error(sender, source, kind, plain[: random.choice((28, 48, 64, 600))])
    return plain


def _plain(random: Random, source: Address, destination: Address) -> bytes:
    protocol, body = _body(random, source.version)
    if random.random() < 0.15:
        sizes = [8 * random.randrange(1, 5) for _ in range(random.randrange(1, 4))]
        piece = random.choice(cut(body + bytes(64), sizes))
        return piece.frame(source, destination, protocol)
    if source.version == 4:
        return ip4(
            source, destination, protocol, body, options=bytes(4 * random.choice((0, 0, 1, 10)))
        )
    chain = [_OPTIONS(HOP_BY_HOP)] * random.choice((0, 0, 1))
    chain += random.choices(
        (_OPTIONS(), _OPTIONS(units=3), _ROUTING()), k=random.choice((0, 0, 1, 3))
    )
    return ip6(source, destination, protocol, body, extensions=chain)


def _body(random: Random, version: int) -> tuple[int, bytes]:
    ports = random.choice((22, 53, 80, 40000)), random.choice((22, 53, 80, 90, 40000))
    data = random.randbytes(random.choice((0, 0, 1, 30, 1200)))
    number, request, answer = (1, 8, 0) if version == 4 else (58, 128, 129)
    return random.choice(
        (
            (6, tcp(*ports, random.choice((SYN, ACK, SYN | ACK)), data)),
            (17, udp(*ports, data)),
            (132, sctp(*ports, data)),
            (number, echo(random.choice((request, answer)), 7) + data),
            (number, icmp(random.randrange(256)) + data),
            (random.choice((47, 50, 255)), data),
        )
    )


def _changed(random: Random, frame: bytes, other: bytes) -> bytes:
    """One thing is done to it, mostly near its beginning, where its headers are."""
    if not frame:
        return random.randbytes(random.randrange(1, 80))
    at = random.randrange(min(len(frame), random.choice((8, 48, 96, len(frame)))))
    match random.randrange(9):
        case 0:  # a bit
            return frame[:at] + bytes((frame[at] ^ 1 << random.randrange(8),)) + frame[at + 1 :]
        case 1:  # a byte
            return frame[:at] + random.randbytes(1) + frame[at + 1 :]
        case 2:  # a length, somewhere
            wide = random.choice((*LENGTHS, len(frame), len(frame) - 40, len(frame) + 1, 0xFFFF))
            return frame[:at] + (wide & 0xFFFF).to_bytes(2) + frame[at + 2 :]
        case 3:  # the length that its header claims
            at = 2 if frame[0] >> 4 == 4 else 4
            wide = max(len(frame) + random.randrange(-60, 9), 0)
            return frame[:at] + (wide & 0xFFFF).to_bytes(2) + frame[at + 2 :]
        case 4:  # cut off
            return frame[:at]
        case 5:  # padded
            return frame + random.randbytes(random.randrange(1, 64))
        case 6:  # bytes put in, or taken out
            some = random.randrange(1, 17)
            return frame[:at] + random.choice((random.randbytes(some), b"")) + frame[at + some :]
        case 7:  # the beginning of one, the rest of another
            return frame[:at] + other[at:]
        case _:  # the next header, by a number that means something
            at = 9 if frame[0] >> 4 == 4 else 6
            return (
                frame[:at]
                + bytes((random.choice((0, 1, 6, 17, 43, 44, 58, 59, 60)),))
                + frame[at + 1 :]
            )
