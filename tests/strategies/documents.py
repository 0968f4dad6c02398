# SPDX-License-Identifier: Apache-2.0
"""The parts of random documents: nodes on crowded ranges, and rules about few tags and ports."""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from itertools import count
from typing import TypeVar

from hypothesis import strategies as st

from krait.policy.model import (
    ICMP4,
    ICMP6,
    SCTP,
    TCP,
    UDP,
    Action,
    Address,
    Document,
    Labels,
    Mark,
    MulticastGroup,
    Named,
    Network,
    Node,
    PortSpan,
    Route,
    Rule,
    Selector,
)

T = TypeVar("T")

TAGS = ("a", "b", "c")
NAMES = ("alpha", "beta", "gamma", "delta")
SPARE = "spare"
"""A node that is nobody's peer and has every tag, so that no rule names a tag in vain."""

MESHES: tuple[tuple[str, ...], ...] = (
    ("10.8.0.0/24", "fd00:8::/64"),
    ("10.8.0.0/20", "fd00:8::/112"),
    ("10.64.0.0/10", "fd00:8::/48"),
    ("10.8.0.0/24",),
    ("fd00:8::/64",),
)
HOSTS = (1, 2, 3, 7, 0x80, 0xFE, 0x101, 0xFFE, 0xFFF, (1 << 20) + 5, (1 << 63) + 5)
"""Places in the range: in the smallest array window, beyond it, and beyond every window."""

SUBNETS: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            "10.20.0.0/24",
            "10.20.0.0/16",
            "10.8.0.0/29",
            "10.8.0.128/25",
            "10.8.8.0/21",
            "10.64.0.0/28",
            "10.80.0.0/24",
            "10.0.0.0/8",
            "0.0.0.0/0",
            "fd00:20::/64",
            "fd00:20::/48",
            "fd00:8::f0/124",
            "fd00:8::/120",
            "fd00::/16",
            "::/0",
        ),
    )
)
LINK_LOCALS: tuple[Address, ...] = tuple(
    map(ip_address, ("fe80::1", "fe80::2", "169.254.0.1", "febf::2", "169.254.255.254"))
)
GROUPS: tuple[Network, ...] = tuple(
    map(ip_network, ("224.0.0.5/32", "239.0.0.0/8", "224.0.0.0/4", "ff02::5/128", "ff00::/8"))
)
GROUP_NAMES = ("everyone", "routers")
GRE = 47
SPANS = (
    PortSpan(TCP, 22, 22),
    PortSpan(TCP, 80, 90),
    PortSpan(TCP, 85, 100),
    PortSpan(TCP, 91, 0xFFFF),
    PortSpan(TCP, 0, 0),
    PortSpan(TCP, 0, 0xFFFF),
    PortSpan(UDP, 53, 53),
    PortSpan(UDP, 8000, 8100),
    PortSpan(UDP, 0, 0xFFFF),
    PortSpan(SCTP, 80, 90),
    PortSpan(SCTP, 0, 0xFFFF),
    PortSpan(GRE, 0, 0),
    PortSpan(ICMP4, 0, 0xFF),
    PortSpan(ICMP6, 0, 0xFF),
    PortSpan(ICMP4, 8, 8),
    PortSpan(ICMP6, 128, 128),
    PortSpan(ICMP4, 9, 13),
    PortSpan(ICMP6, 130, 0xFF),
)
NOWHERE = Mark(1, 1)

_BANNED = (
    (PortSpan(TCP, 0, 0xFFFF),),
    (PortSpan(UDP, 0, 0xFFFF), PortSpan(TCP, 80, 0xFFFF)),
    (PortSpan(ICMP4, 0, 0xFF), PortSpan(ICMP6, 0, 0xFF)),
)
_TERMS: tuple[Labels, ...] = (
    frozenset(),
    *(frozenset({tag}) for tag in TAGS),
    *(frozenset({tag}) for tag in TAGS),
    frozenset({"a", "b"}),
    frozenset({"b", "c"}),
)


def key(name: str) -> bytes:
    """A public key that is as good as any."""
    return name.encode().ljust(32, b".")


def some(items: Sequence[T], most: int, least: int = 0) -> st.SearchStrategy[list[T]]:
    return st.lists(st.sampled_from(items), min_size=least, max_size=most, unique=True)


tags = some(TAGS, 2).map(frozenset)
mostly = st.sampled_from((True, True, True, False))
rarely = st.sampled_from((False, False, False, True))


@st.composite
def selectors(draw: st.DrawFn, names: Sequence[str]) -> Selector:
    known = (*_TERMS, *(frozenset({name}) for name in names))
    terms = (frozenset[str](),) if draw(rarely) else tuple(draw(some(known, 2, 1)))
    texts = [_term_text(term) for term in terms]
    return Selector(terms, texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")


def _term_text(term: Labels) -> str:
    if len(term) > 1:
        return f"{{all: [{', '.join(sorted(term))}]}}"
    return next(iter(term), "*")


ENDS = (10, 10, 20, 30, 60, 200)
"""Seconds from when a scenario begins, as if that were 1970."""


def actions(allows: st.SearchStrategy[bool]) -> st.SearchStrategy[Action]:
    """Allows as often as that; else denies, and tells of half of it."""
    denies = st.sampled_from((Action.DENY, Action.REJECT))
    return allows.flatmap(lambda each: st.just(Action.ALLOW) if each else denies)


@st.composite
def rules(draw: st.DrawFn, nodes: Sequence[str]) -> tuple[Rule, ...]:
    names = draw(some([f"r{letter}" for letter in "pqrstuvw"], 6, 1))
    return tuple(
        Rule(
            number,
            name,
            draw(selectors(nodes)),
            draw(selectors(nodes)),
            tuple(draw(some(SPANS, 3))),
            draw(actions(mostly)),
            audit=draw(rarely),
            mark=NOWHERE,
            until=draw(st.sampled_from(ENDS)) if draw(rarely) else None,
        )
        for number, name in enumerate(names, start=1)
    )


def names_of(nodes: Sequence[Named]) -> list[str]:
    return [node.name for node in nodes]


@st.composite
def groups_of(draw: st.DrawFn) -> tuple[MulticastGroup, ...]:
    """Often none; each range belongs to one, and may lie in another's."""
    names = draw(some(GROUP_NAMES, len(GROUP_NAMES)))
    ranges = draw(some(GROUPS, len(GROUPS), len(names)))
    return tuple(
        MulticastGroup(name, tuple(ranges[place :: len(names)]), draw(tags), NOWHERE)
        for place, name in enumerate(names)
    )


@st.composite
def nodes_of(draw: st.DrawFn, cidrs: tuple[Network, ...]) -> tuple[Node, ...]:
    """Each address and each subnet belongs to one; a spoke may be reached through a hub."""
    names = NAMES[: draw(st.integers(2, len(NAMES)))]
    addresses: dict[str, list[Address]] = {name: [] for name in names}
    for cidr in cidrs:
        fitting = [host for host in HOSTS if host < cidr.num_addresses - 1]
        hosts = draw(some(fitting, len(names), len(names)))
        for name, host in zip(names, hosts, strict=True):
            addresses[name].append(cidr[host])
    for address in draw(some(LINK_LOCALS, 3)):
        addresses[draw(st.sampled_from(names))].append(address)
    routed = {cidr: draw(st.sampled_from(names)) for cidr in draw(some(SUBNETS, 4))}
    hub = draw(st.sampled_from(names)) if draw(rarely) else None
    spoke = next((name for name in reversed(names) if name != hub), None) if hub else None
    named = [
        Node(
            name,
            None if name == spoke and draw(rarely) else key(name),
            draw(tags),
            tuple(addresses[name]),
            tuple(Route(c, draw(tags), NOWHERE) for c, owner in routed.items() if owner == name),
            endpoint=None,
            preshared_key_file=None,
            transit=name == hub or draw(rarely),
            via=hub if name == spoke else None,
            mark=NOWHERE,
        )
        for name in names
    ]
    spare = Node(SPARE, key(SPARE), frozenset(TAGS), (), (), None, None, False, None, NOWHERE)
    return (*named, spare)


@st.composite
def bans(draw: st.DrawFn, document: Document) -> Rule:
    """A deny that cuts flows, and leaves their pair as much as it had beside them."""
    rules, names = document.policy.rules, names_of(document.named)
    taken = {rule.name for rule in rules}
    name = next(f"ban-{i}" for i in count() if f"ban-{i}" not in taken)
    everyone = Selector((frozenset(),), "*")
    spans = draw(st.sampled_from(_BANNED))
    sources, destinations = (draw(st.just(everyone) | selectors(names)) for _ in range(2))
    number = len(rules) + 1
    return Rule(number, name, sources, destinations, spans, Action.DENY, audit=False, mark=NOWHERE)
