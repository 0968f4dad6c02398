# SPDX-License-Identifier: Apache-2.0
"""Random meshes as one node sees them: small, crowded, and full of prefixes inside prefixes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import ip_address, ip_interface, ip_network
from typing import TypeVar

from hypothesis import strategies as st

from krait.policy.model import (
    ICMP4,
    ICMP6,
    TCP,
    UDP,
    Address,
    Document,
    Labels,
    Mark,
    Mesh,
    Network,
    Node,
    Policy,
    PortSpan,
    Route,
    Rule,
    Selector,
)
from krait.policy.view import Interface, Peer, View, resolve

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
STRANGERS: tuple[Network, ...] = tuple(
    map(ip_network, ("10.8.0.66/32", "10.8.0.64/26", "10.99.0.0/16", "fd00:8::66/128"))
)

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
    PortSpan(ICMP4, 0, 0),
    PortSpan(ICMP6, 0, 0),
)
NOWHERE = Mark(1, 1)

_TERMS: tuple[Labels, ...] = (
    frozenset(),
    *(frozenset({tag}) for tag in TAGS),
    *(frozenset({tag}) for tag in TAGS),
    frozenset({"a", "b"}),
    frozenset({"b", "c"}),
)


@dataclass(frozen=True)
class World:
    """A document, and the interface of one of its nodes."""

    document: Document
    interface: Interface

    @cached_property
    def view(self) -> View:
        return resolve(self.document, self.interface)


def key(name: str) -> bytes:
    """A public key that is as good as any."""
    return name.encode().ljust(32, b".")


def _some(items: Sequence[T], most: int, least: int = 0) -> st.SearchStrategy[list[T]]:
    return st.lists(st.sampled_from(items), min_size=least, max_size=most, unique=True)


_tags = _some(TAGS, 2).map(frozenset)
_mostly = st.sampled_from((True, True, True, False))
_rarely = st.sampled_from((False, False, False, True))


@st.composite
def selectors(draw: st.DrawFn, names: Sequence[str]) -> Selector:
    known = (*_TERMS, *(frozenset({name}) for name in names))
    terms = (frozenset[str](),) if draw(_rarely) else tuple(draw(_some(known, 2, 1)))
    texts = [_term_text(term) for term in terms]
    return Selector(terms, texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")


def _term_text(term: Labels) -> str:
    if len(term) > 1:
        return f"{{all: [{', '.join(sorted(term))}]}}"
    return next(iter(term), "*")


@st.composite
def rules(draw: st.DrawFn, nodes: Sequence[str]) -> tuple[Rule, ...]:
    names = draw(_some([f"r{letter}" for letter in "pqrstuvw"], 6, 1))
    return tuple(
        Rule(
            number,
            name,
            draw(selectors(nodes)),
            draw(selectors(nodes)),
            tuple(draw(_some(SPANS, 3))),
            allow=draw(_mostly),
            audit=draw(_rarely),
            mark=NOWHERE,
        )
        for number, name in enumerate(names, start=1)
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Any node of any mesh."""
    cidrs = tuple(map(ip_network, draw(st.sampled_from(MESHES))))
    nodes = draw(_nodes(cidrs))
    # In drop-in use addresses may be left out; only spokes have to have them.
    written = nodes if draw(_mostly) else tuple(n for n in nodes if not n.via)
    if written is not nodes or draw(_rarely):
        written = tuple(n if n.via else replace(n, addresses=()) for n in written)
    document = Document(
        source="world.yaml",
        interface=None,
        node=None,
        mesh=Mesh(cidrs, None) if draw(_mostly) else None,
        nodes=written,
        policy=Policy(draw(_rarely), draw(_rarely), draw(rules(_names(written))), ()),
    )
    me = draw(st.sampled_from([n for n in nodes if n.name != SPARE and not n.via]))
    return World(document, draw(_interfaces(me, nodes, cidrs)))


def _names(nodes: Sequence[Node]) -> list[str]:
    return [node.name for node in nodes]


@st.composite
def _nodes(draw: st.DrawFn, cidrs: tuple[Network, ...]) -> tuple[Node, ...]:
    """Each address and each subnet belongs to one; a spoke may be reached through a hub."""
    names = NAMES[: draw(st.integers(2, len(NAMES)))]
    addresses: dict[str, list[Address]] = {name: [] for name in names}
    for cidr in cidrs:
        fitting = [host for host in HOSTS if host < cidr.num_addresses - 1]
        hosts = draw(_some(fitting, len(names), len(names)))
        for name, host in zip(names, hosts, strict=True):
            addresses[name].append(cidr[host])
    routed = {cidr: draw(st.sampled_from(names)) for cidr in draw(_some(SUBNETS, 4))}
    hub = draw(st.sampled_from(names)) if draw(_rarely) else None
    spoke = next((name for name in reversed(names) if name != hub), None) if hub else None
    named = [
        Node(
            name,
            key(name),
            draw(_tags),
            tuple(addresses[name]),
            tuple(Route(c, draw(_tags), NOWHERE) for c, owner in routed.items() if owner == name),
            endpoint=None,
            preshared_key_file=None,
            transit=name == hub or draw(_rarely),
            via=hub if name == spoke else None,
            mark=NOWHERE,
        )
        for name in names
    ]
    spare = Node(SPARE, key(SPARE), frozenset(TAGS), (), (), None, None, False, None, NOWHERE)
    return (*named, spare)


@st.composite
def _interfaces(
    draw: st.DrawFn, me: Node, nodes: tuple[Node, ...], cidrs: tuple[Network, ...]
) -> Interface:
    """What WireGuard has: most of what the document says, and some that it does not."""
    taken: set[Network] = set()

    def allow(wanted: Sequence[Network]) -> tuple[Network, ...]:
        # WireGuard gives a prefix to one peer only.
        fresh = tuple(dict.fromkeys(cidr for cidr in wanted if cidr not in taken))
        taken.update(fresh)
        return fresh

    peers = []
    for node in nodes:
        if node in (me, nodes[-1]) or (node.via and draw(_mostly)):
            continue
        wanted = [ip_network(each) for each in node.addresses]
        wanted += [route.cidr for route in node.routes if draw(_mostly)]
        for spoke in nodes:
            if spoke.via == node.name:
                wanted += [ip_network(each) for each in spoke.addresses]
                wanted += [route.cidr for route in spoke.routes]
        wanted += draw(_some((*SUBNETS, *STRANGERS, *cidrs), 1))
        peers.append(Peer(node.public_key or b"", allow(wanted)))
    if draw(_rarely):
        peers.insert(0, Peer(key("stranger"), allow(draw(_some(STRANGERS, 3, 1)))))
    own = [
        ip_interface(f"{each}/{next(c.prefixlen for c in cidrs if each in c)}")
        for each in me.addresses
    ]
    own += draw(_some((ip_interface("172.16.0.1/24"), ip_interface("fe80::1/64")), 1))
    return Interface(me.public_key or b"", tuple(own), tuple(peers))


@st.composite
def later(draw: st.DrawFn, world: World) -> World:
    """The same mesh after someone changed a thing."""
    document, interface = world.document, world.interface
    policy = document.policy
    match draw(st.sampled_from(("rules", "rule", "strict", "default", "tags", "hub", "peers"))):
        case "rules":
            policy = replace(policy, rules=draw(rules(_names(document.nodes))))
        case "rule" if policy.rules:
            gone = draw(st.sampled_from(policy.rules))
            kept = [rule for rule in policy.rules if rule is not gone]
            policy = replace(
                policy, rules=tuple(replace(r, number=i) for i, r in enumerate(kept, start=1))
            )
        case "strict":
            policy = replace(policy, strict=not policy.strict)
        case "default":
            policy = replace(policy, default_allow=not policy.default_allow)
        case "tags":
            *named, spare = document.nodes
            which = draw(st.sampled_from(named))
            after = [replace(n, tags=draw(_tags)) if n is which else n for n in named]
            document = replace(document, nodes=(*after, spare))
        case "hub":
            vias = {node.via for node in document.nodes}
            after = [replace(n, transit=n.name in vias or not n.transit) for n in document.nodes]
            document = replace(document, nodes=tuple(after))
        case "peers" if interface.peers:
            gone_peer = draw(st.sampled_from(interface.peers))
            left = tuple(peer for peer in interface.peers if peer is not gone_peer)
            interface = replace(interface, peers=left)
    return World(replace(document, policy=policy), interface)


def landmarks(view: View) -> list[Address]:
    """Addresses in, at the edges of, and just beside every prefix that the node knows."""
    found: dict[Address, None] = {}
    for cidr in view.owners:
        first, last = int(cidr.network_address), int(cidr.broadcast_address)
        for number in (first, (first + last) // 2 + 1, last, last + 1, first - 1):
            if 0 < number < 1 << cidr.max_prefixlen:
                found[_like(cidr, number)] = None
    return list(found)


def _like(cidr: Network, number: int) -> Address:
    return type(cidr.network_address)(number)


ODD_ADDRESSES = tuple(
    map(
        ip_address,
        (
            "10.8.0.77",
            "192.0.2.1",
            "224.0.0.1",
            "223.255.255.255",
            "255.255.255.255",
            "169.254.0.1",
            "127.0.0.1",
            "0.0.0.0",  # noqa: S104 - a source that no honest packet has
            "fd00:8::77",
            "2001:db8::1",
            "ff02::1",
            "fe80::1",
            "febf:ffff::1",
            "fec0::1",
            "::1",
            "::",
            "::ffff:10.8.0.1",
        ),
    )
)
