# SPDX-License-Identifier: Apache-2.0
"""Datagrams cut into fragments: whole trains of them, and trains that something happened to."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from krait.policy.model import Address
from tests.strategies.packets import Extension, ethertype, ip4, ip6
from tests.strategies.scenario import Commit, Send, Side, Step, Wait

IDS = (7, 7, 7, 8)
WAITS = (5, 13)
"""Either side of the ten seconds that a datagram has."""
FURTHEST = 65_528
"""What a fragment can say of where it begins, in bytes."""
DISTURBANCES = (
    "lose", "repeat", "early", *("back",) * 4, "ahead", "far", "id", "more", "odd",
)  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """A part of a datagram's body, and what its header says of it, in bytes."""

    data: bytes
    offset: int
    more: bool
    id: int

    def frame(self, source: Address, destination: Address, protocol: int) -> bytes:
        if source.version == 4:
            word = self.more << 13 | self.offset // 8
            return ip4(source, destination, protocol, self.data, fragment=word, identifier=self.id)
        header = Extension.fragment(self.offset, more=self.more, identifier=self.id)
        return ip6(source, destination, protocol, self.data, extensions=(header,))


def cut(body: bytes, sizes: Sequence[int], identifier: int = 7) -> list[Piece]:
    """A datagram's body in pieces of these sizes, and one of what is left."""
    pieces, at = [], 0
    for size in sizes:
        pieces.append(Piece(body[at : at + size], at, more=True, id=identifier))
        at += size
    return [*pieces, Piece(body[at:], at, more=False, id=identifier)]


@st.composite
def trains(
    draw: st.DrawFn, ends: tuple[Address, Address], protocol: int, body: bytes, *, leaves: bool
) -> list[Step]:
    """The fragments of one datagram, and what happens in between."""
    sizes = draw(st.lists(st.sampled_from((8, 16, 16, 24)), min_size=1, max_size=3))
    pieces = cut(body + bytes(80), sizes, draw(st.sampled_from(IDS)))
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 1, 2)))):
        pieces = draw(_disturbed(pieces))
    side: Side = "egress" if leaves else "ingress"
    came_in = draw(st.booleans())
    steps: list[Step] = []
    for piece in pieces:
        frame = piece.frame(*ends, protocol)
        sent = Send(frame, ethertype(frame), side, came_in=came_in)
        match draw(st.sampled_from(("",) * 18 + ("wait", "wait", "commit", "commit", "side"))):
            case "wait":
                steps.append(Wait(draw(st.sampled_from(WAITS))))
            case "commit":
                steps.append(Commit(draw(st.integers(0, 2))))
            case "side":
                sent = replace(sent, side="ingress" if leaves else "egress")
        steps.append(sent)
    return steps


@st.composite
def _disturbed(draw: st.DrawFn, pieces: list[Piece]) -> list[Piece]:
    """One of them lost, sent twice, too early, elsewhere, of another datagram or impossible."""
    if not pieces:
        return pieces
    at = draw(st.integers(0, len(pieces) - 1))
    piece, rest = pieces[at], pieces[:at] + pieces[at + 1 :]
    match draw(st.sampled_from(DISTURBANCES)):
        case "lose":
            return rest
        case "early":
            return [piece, *rest]
        case "repeat":
            changed = [piece, piece]
        case "back":
            changed = [replace(piece, offset=max(piece.offset - 8, 0))]
        case "ahead":
            changed = [replace(piece, offset=min(piece.offset + 8, FURTHEST))]
        case "far":
            changed = [replace(piece, offset=draw(st.sampled_from((FURTHEST, 65_448, 32_768))))]
        case "id":
            changed = [replace(piece, id=piece.id + 1)]
        case "more":
            changed = [replace(piece, more=not piece.more)]
        case _:
            length = draw(st.sampled_from((0, 1, 7, 8, 13, 14)))
            changed = [replace(piece, data=piece.data[:length])]
    return [*pieces[:at], *changed, *pieces[at + 1 :]]
