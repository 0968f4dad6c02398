# SPDX-License-Identifier: Apache-2.0
"""Random packets that are likely to matter: a few conversations, replayed, disturbed and forged."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from itertools import chain
from typing import Any, TypeVar

from hypothesis import strategies as st

from krait.policy.model import ICMP4, ICMP6, SCTP, TCP, UDP, Address, Labels, PortSpan
from krait.policy.view import HERE, Principal, View
from tests.strategies.documents import ENDS, GRE, SPANS, bans
from tests.strategies.fragments import trains
from tests.strategies.packets import (
    ACK,
    FIN,
    HOP_BY_HOP,
    PSH,
    RST,
    SYN,
    URG,
    Extension,
    echo,
    ethertype,
    icmp,
    ip4,
    ip6,
    sctp,
    tcp,
    udp,
)
from tests.strategies.scenario import Commit, Scenario, Send, Side, Step, Wait
from tests.strategies.worlds import (
    ODD_ADDRESSES,
    World,
    denying,
    landmarks,
    later,
    opening,
    worlds,
)

T = TypeVar("T")

STEPS = 60
NO_NEXT_HEADER = 59

PORTS = tuple(
    dict.fromkeys(
        port
        for span in SPANS
        for port in (span.low, span.high, max(span.low - 1, 0), min(span.high + 1, 0xFFFF))
    )
)
FLAGS = (
    SYN, SYN | ACK, ACK, ACK, PSH | ACK, FIN | ACK, RST, RST | ACK,
    0, FIN, SYN | FIN, SYN | RST, SYN | ACK | FIN, SYN | ACK | RST, SYN | URG, 0xFF,
)  # fmt: skip
MESSAGES = {
    4: (8, 0, 8, 0, 13, 14, 15, 9, 10, 5, 3, 11),
    6: (128, 129, 128, 129, 130, 132, 138, 255, 133, 134, 135, 136, 137, 1),
}
SAID = {TCP: (SYN, ACK), ICMP4: (8, 0), ICMP6: (128, 129)}
"""The kinds of packet that open a flow, and that go on with it."""
ERRORS = {4: (3, 11, 12, 4, 3, 5), 6: (1, 2, 3, 4, 0, 127, 137)}
KINDS_OF_STEPS = (
    "nothing", *("packet",) * 14, *("error",) * 3, "episode", *("train",) * 2, "flood",
    "wait", *("commit",) * 2, "revocation",
)  # fmt: skip
CUT = 3
"""The world of a scenario in which one direction of a conversation is denied."""
BOTH, ONE = 4, 5
"""Those in which both sides of the first conversation may open it, for a while perhaps, or one."""
WAITS = (5, 20, 29, 31, 40, 179, 181, 7199, 7201)

_SHORT_WAITS = (Wait(5), Wait(20))
_options, _routing, _fragment = Extension.options, Extension.routing, Extension.fragment
LIES: dict[int, tuple[dict[str, Any], ...]] = {
    4: (
        {"options": bytes(4)},
        {"options": bytes(40)},
        {"fragment": 0x4000},  # don't fragment
        {"fragment": 0x2000},  # the first of several
        {"fragment": 0x2001},
        {"fragment": 1},
        {"fragment": 0x1FFF},
        {"header": 16},
        {"header": 24},
        {"header": 60},
        {"total": 0},
        {"total": 19},
        {"total": 20},
        {"total": 28},
        {"total": 33},
        {"total": 0xFFFF},
    ),
    6: (
        {"extensions": (_options(),)},
        {"extensions": (_options(HOP_BY_HOP), _routing(0))},
        {"extensions": (_fragment(0),)},
        {"extensions": (_fragment(8),)},
        {"extensions": (_fragment(0), _options(units=2))},
        {"extensions": (_routing(1),)},
        {"extensions": (_options(), _options(HOP_BY_HOP))},
        {"extensions": (_options(HOP_BY_HOP), _options(), _routing(0), _options(units=31))},
        {"extensions": (_options(),) * 4},
        {"extensions": (_options(),) * 5},
        {"extensions": (*(_options(),) * 4, _fragment(8))},
        {"extensions": (_options(units=255),)},
        {"extensions": (_options(units=2),), "payload": 16},
        {"extensions": (_options(),), "payload": 8},
        {"payload": 0},
        {"payload": 7},
        {"payload": 8},
        {"payload": 13},
        {"payload": 0xFFFF},
    ),
}


@dataclass(frozen=True)
class Conversation:
    """Two addresses of one family and what they speak; `here` is this node's end, or should be."""

    here: Address
    there: Address
    protocol: int
    port_here: int
    port_there: int
    spare: int  # bytes after the header

    def packet(self, kind: int, *, leaves: bool, lies: dict[str, Any]) -> bytes:
        """`kind` is TCP's flags or ICMP's type."""
        return _ip(*self.ends(leaves=leaves), self.protocol, self.body(kind, leaves=leaves), lies)

    def ends(self, *, leaves: bool) -> tuple[Address, Address]:
        return (self.here, self.there) if leaves else (self.there, self.here)

    def body(self, kind: int, *, leaves: bool) -> bytes:
        ports = (self.port_here, self.port_there)
        return self._body(kind, *(ports if leaves else ports[::-1]))

    def _body(self, kind: int, source_port: int, destination_port: int) -> bytes:
        match self.protocol:
            case 6:
                return tcp(source_port, destination_port, kind, bytes(self.spare))
            case 17:
                return udp(source_port, destination_port, bytes(self.spare))
            case 132:
                return sctp(source_port, destination_port, bytes(self.spare))
            case 1 | 58:
                return echo(kind, self.port_here) + bytes(self.spare)
            case _:
                return bytes(self.spare)


def _ip(
    source: Address, destination: Address, protocol: int, body: bytes, lies: dict[str, Any]
) -> bytes:
    make = ip4 if isinstance(source, IPv4Address) else ip6
    return make(source, destination, protocol, body, **lies)


@st.composite
def scenarios(draw: st.DrawFn, most_steps: int = STEPS) -> Scenario:
    """A world, what becomes of it, and what happens meanwhile."""
    first = draw(worlds())
    second = draw(later(first))
    known = (first, second, draw(later(second)))
    cast = _Cast.of(known)
    talks = [draw(_conversations(cast)) for _ in range(draw(st.integers(1, 4)))]
    cut = draw(_cut(first, draw(st.sampled_from(talks))))
    steps = draw(st.lists(_steps(talks, cast), min_size=most_steps // 2, max_size=most_steps))
    return Scenario((*known, cut, *draw(_ways(first, talks[0]))), tuple(chain.from_iterable(steps)))


@st.composite
def _cut(draw: st.DrawFn, world: World, talk: Conversation) -> World:
    """The same world, but for one direction of a conversation, which is denied now."""
    labels = [_labels(world.view, each) for each in talk.ends(leaves=draw(st.booleans()))]
    return denying(world, draw(bans(world.document)), *labels)


@st.composite
def _ways(draw: st.DrawFn, world: World, talk: Conversation) -> tuple[World, World]:
    """The same world where both ends of a conversation may open it, by port; and where one may."""
    here, there = (_labels(world.view, each) for each in talk.ends(leaves=True))
    spans: tuple[PortSpan, ...] = ()
    if talk.protocol in (TCP, UDP, SCTP):
        spans = (PortSpan(talk.protocol, 0, 0xFFFF),)
    elif talk.protocol in SAID:
        request, _ = SAID[talk.protocol]
        spans = (PortSpan(talk.protocol, request, request),)
    ways = draw(st.permutations([(here, there), (there, here)]))
    until = draw(st.sampled_from((None, None, *ENDS)))
    return opening(world, spans, *ways, until=until), opening(world, spans, ways[0], until=until)


def _labels(view: View, address: Address) -> Labels:
    """Those of whoever has it; none of nobody."""
    who = _owner(view, address)
    return (who and who.labels) or frozenset()


@dataclass(frozen=True)
class _Cast:
    """Who may speak: addresses here and at peers that have an identity, known ones, and any."""

    here: Sequence[Address]
    there: Sequence[Address]
    groups: Sequence[Address]
    known: Sequence[Address]
    all: Sequence[Address]
    is_hub: bool

    @classmethod
    def of(cls, known: Sequence[World]) -> "_Cast":
        found = list(dict.fromkeys(a for world in known for a in landmarks(world.view)))
        owners = {address: _owner(known[0].view, address) for address in found}
        groups = [address for address, who in owners.items() if who and who.group]
        able = [
            (address, who.peer)
            for address, who in owners.items()
            if who and who.labels is not None and not who.group
        ]
        here = [address for address, peer in able if peer == HERE]
        there = [address for address, peer in able if peer != HERE]
        everybody = (*found, *ODD_ADDRESSES)
        is_hub = known[0].view.transit
        return cls(here or found, there or found, groups or found, found, everybody, is_hub)


@st.composite
def _conversations(draw: st.DrawFn, cast: _Cast) -> Conversation:
    there = draw(st.sampled_from(draw(_usually(cast.there, cast.groups, cast.known, cast.all))))
    usual = draw(st.sampled_from((cast.here, cast.there))) if cast.is_hub else cast.here
    ours = draw(_usually(usual, cast.groups, cast.known, cast.all))
    family = [address for address in ours if address.version == there.version]
    here = draw(st.sampled_from(family or [there]))
    icmp_number = ICMP4 if there.version == 4 else ICMP6
    protocol = draw(st.sampled_from((TCP, TCP, UDP, icmp_number, SCTP, GRE, NO_NEXT_HEADER)))
    served = draw(st.sampled_from(PORTS))
    own = draw(st.sampled_from((40000, 40001, *PORTS[:4])))
    ports = (served, own) if draw(st.booleans()) else (own, served)
    return Conversation(here, there, protocol, *ports, draw(st.sampled_from((0, 0, 1, 24))))


def _owner(view: View, address: Address) -> Principal | None:
    holding = [cidr for cidr in view.owners if address in cidr]
    return view.owners[max(holding, key=lambda cidr: cidr.prefixlen)] if holding else None


def _usually(usual: T, *others: T) -> st.SearchStrategy[T]:
    return st.sampled_from((*(usual,) * 12, *others))


@st.composite
def _steps(draw: st.DrawFn, talks: Sequence[Conversation], cast: _Cast) -> Sequence[Step]:
    # Nothing is what hypothesis shrinks to: long lists are interesting, short ones readable.
    match draw(st.sampled_from(KINDS_OF_STEPS)):
        case "nothing":
            return ()
        case "wait":
            return (Wait(draw(st.sampled_from(WAITS))),)
        case "commit":
            return (Commit(draw(st.integers(0, 2))),)
        case "error":
            return (draw(_errors(*draw(_packets(talks)), cast)),)
        case "episode":
            return draw(_episodes(draw(st.sampled_from(talks)), cast))
        case "train":
            talk, kind, leaves = draw(_spoken(talks))
            opening, _ = SAID.get(talk.protocol, (0, 0))
            body = talk.body(draw(st.sampled_from((opening, kind))), leaves=leaves)
            return draw(trains(talk.ends(leaves=leaves), talk.protocol, body, leaves=leaves))
        case "flood":
            return draw(_floods(talks))
        case "revocation":
            return draw(_revocations(talks[0]))
        case _:
            _, frame, leaves = draw(_packets(talks))
            return (draw(_sent(frame, leaves=leaves)),)


@st.composite
def _floods(draw: st.DrawFn, talks: Sequence[Conversation]) -> Sequence[Step]:
    """Opens of one kind, one after the other, each of another flow."""
    talk, leaves = draw(st.sampled_from(talks)), draw(st.sampled_from((False, False, True)))
    kind = SYN if talk.protocol == TCP else MESSAGES[talk.here.version][0]
    ours = leaves or talk.protocol in (ICMP4, ICMP6)
    flood = [
        replace(talk, port_here=port) if ours else replace(talk, port_there=port)
        for port in range(20_000, 20_000 + draw(st.integers(2, 5)))
    ]
    frames = [each.packet(kind, leaves=leaves, lies={}) for each in flood]
    return [Send(each, ethertype(each), "egress" if leaves else "ingress") for each in frames]


@st.composite
def _spoken(draw: st.DrawFn, talks: Sequence[Conversation]) -> tuple[Conversation, int, bool]:
    """A conversation, what is said in it, and whether that leaves this node."""
    talk, leaves = draw(st.sampled_from(talks)), draw(st.booleans())
    kinds = FLAGS if talk.protocol == TCP else MESSAGES[talk.here.version]
    kind = draw(st.sampled_from(kinds)) if talk.protocol in (TCP, ICMP4, ICMP6) else 0
    return talk, kind, leaves


@st.composite
def _packets(draw: st.DrawFn, talks: Sequence[Conversation]) -> tuple[Conversation, bytes, bool]:
    """A packet of a conversation, and whether it leaves this node."""
    talk, kind, leaves = draw(_spoken(talks))
    return talk, talk.packet(kind, leaves=leaves, lies=draw(_lies(talk.here.version))), leaves


def _lies(version: int) -> st.SearchStrategy[dict[str, Any]]:
    honest: dict[str, Any] = {}
    return st.sampled_from((honest,) * 7 * len(LIES[version]) + LIES[version])


@st.composite
def _episodes(draw: st.DrawFn, talk: Conversation, cast: _Cast) -> Sequence[Step]:
    """A flow is opened, something changes, and then it goes on, or what is said in it is lost."""
    opening, going_on = SAID.get(talk.protocol, (0, 0))
    leaves = draw(st.booleans())
    frame = talk.packet(opening, leaves=leaves, lies={})
    changes: tuple[Step, ...] = (*_SHORT_WAITS, Commit(1), Commit(CUT), Commit(CUT))
    change = draw(st.sampled_from(changes))
    steps: list[Step] = [Commit(0)] if change == Commit(CUT) else []
    steps += [Send(frame, ethertype(frame), "egress" if leaves else "ingress", True), change]
    for _ in range(draw(st.integers(1, 2))):
        turn = draw(st.booleans())
        frame = talk.packet(going_on, leaves=turn, lies={})
        if draw(st.booleans()):
            steps.append(draw(_errors(talk, frame, turn, cast)))
        else:
            steps.append(draw(_sent(frame, leaves=turn)))
    return steps


@st.composite
def _revocations(draw: st.DrawFn, talk: Conversation) -> Sequence[Step]:
    """A side may open no more, or both after a while, and they speak on, with a flow or without."""
    opening, going_on = SAID.get(talk.protocol, (0, 0))
    kinds = [going_on] * draw(st.integers(2, 4))
    said = [(kind, draw(st.booleans())) for kind in (opening, *kinds)]
    steps: list[Step] = []
    for kind, leaves in said:
        frame = talk.packet(kind, leaves=leaves, lies={})
        steps.append(Send(frame, ethertype(frame), "egress" if leaves else "ingress", True))
    changes: tuple[Step, ...] = (Commit(ONE), Commit(ONE), *_SHORT_WAITS)
    change = draw(st.sampled_from(changes))
    if draw(st.booleans()):
        return (Commit(BOTH), steps[0], change, *steps[1:])
    return (Commit(ONE), *steps[1:])


@st.composite
def _errors(
    draw: st.DrawFn,
    talk: Conversation,
    about: bytes,
    left: bool,
    cast: _Cast,
) -> Send:
    """An ICMP error about a packet of a conversation: mostly true, at times forged."""
    ends = (talk.here, talk.there) if left else (talk.there, talk.here)
    family = [a for a in cast.all if a.version == talk.here.version]
    source = draw(st.sampled_from(draw(_usually([ends[1]], family, family))))
    destination = draw(st.sampled_from(draw(_usually([ends[0]], family))))
    length = draw(st.sampled_from((len(about), len(about), 28, 48, 27, 47, 19, 40, 34, 56)))
    version = talk.here.version
    body = icmp(draw(st.sampled_from(ERRORS[version])), 0, bytes(4) + about[:length])
    protocol = ICMP4 if version == 4 else ICMP6
    frame = _ip(source, destination, protocol, body, draw(_lies(version)))
    return draw(_sent(frame, leaves=not left))


@st.composite
def _sent(draw: st.DrawFn, frame: bytes, *, leaves: bool) -> Send:
    """Put on the wire; now and then on the wrong side, cut, padded, bent or mislabelled."""
    side: Side = "egress" if leaves else "ingress"
    sent = Send(frame, ethertype(frame), side, came_in=draw(st.sampled_from((True, True, False))))
    match draw(st.sampled_from(("",) * 40 + ("side", "side", "cut", "pad", "bend", "label"))):
        case "side":
            sent = replace(sent, side="ingress" if leaves else "egress")
        case "cut":
            sent = replace(sent, frame=frame[: draw(st.integers(0, len(frame)))])
        case "pad":
            sent = replace(sent, frame=frame + bytes(draw(st.integers(1, 30))))
        case "bend":
            at = draw(st.integers(0, min(len(frame), 80) - 1))
            bent = bytes((frame[at] ^ draw(st.integers(1, 255)),))
            sent = replace(sent, frame=frame[:at] + bent + frame[at + 1 :])
        case "label":
            sent = replace(sent, ethertype=draw(st.sampled_from((0x0800, 0x86DD, 0x0806))))
    return sent
