# SPDX-License-Identifier: Apache-2.0
"""Random meshes as one node sees them: small, crowded, and full of prefixes inside prefixes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import ip_address, ip_interface, ip_network

from hypothesis import strategies as st

from krait.policy.model import (
    Action,
    Address,
    Document,
    Labels,
    Limits,
    Mesh,
    Network,
    Node,
    Policy,
    PortSpan,
    Rule,
    Selector,
)
from krait.policy.view import Interface, Peer, View, resolve
from tests.strategies.documents import (
    GROUPS,
    MESHES,
    NOWHERE,
    SPARE,
    SUBNETS,
    actions,
    bans,
    groups_of,
    key,
    mostly,
    names_of,
    nodes_of,
    rarely,
    rules,
    some,
    tags,
)

STRANGERS: tuple[Network, ...] = tuple(
    map(
        ip_network,
        ("10.8.0.66/32", "10.8.0.64/26", "10.99.0.0/16", "fd00:8::66/128", "fe80::2/128"),
    )
)

LINKS: tuple[Network, ...] = tuple(map(ip_network, ("fe80::/10", "169.254.0.0/16")))


@dataclass(frozen=True)
class World:
    """A document, and the interface of one of its nodes."""

    document: Document
    interface: Interface

    @cached_property
    def view(self) -> View:
        return resolve(self.document, self.interface)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Any node of any mesh."""
    cidrs = tuple(map(ip_network, draw(st.sampled_from(MESHES))))
    nodes = draw(nodes_of(cidrs))
    # In drop-in use addresses may be left out; only spokes have to have them.
    written = nodes if draw(mostly) else tuple(n for n in nodes if not n.via)
    if written is not nodes or draw(rarely):
        written = tuple(n if n.via else replace(n, addresses=()) for n in written)
    groups = draw(groups_of())
    document = Document(
        source="world.yaml",
        interface=None,
        node=None,
        mesh=Mesh(cidrs, None) if draw(mostly) else None,
        nodes=written,
        policy=Policy(
            default=draw(actions(rarely)),
            strict=draw(rarely),
            rules=draw(rules(names_of((*written, *groups)))),
            tests=(),
            limits=draw(limits()),
            reject_ingress=draw(st.booleans()),
        ),
        multicast=groups,
    )
    known = names_of(written)
    fitting = [n for n in nodes if n.name in known and n.name != SPARE and n.public_key]
    me = draw(st.sampled_from(fitting))
    return World(document, draw(_interfaces(me, nodes, cidrs)))


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
        if node in (me, nodes[-1]) or node.public_key is None:
            continue
        is_my_hub = node.name == me.via
        is_by_hub = bool(node.via or me.via) and not is_my_hub
        if draw(mostly) if is_by_hub else draw(rarely) and draw(rarely):
            continue
        wanted = [ip_network(each) for each in node.addresses]
        wanted += [route.cidr for route in node.routes if draw(mostly)]
        for spoke in nodes:
            if spoke.via == node.name or (is_my_hub and spoke not in (me, node)):
                wanted += [ip_network(each) for each in spoke.addresses]
                wanted += [route.cidr for route in spoke.routes]
        wanted += draw(some((*SUBNETS, *STRANGERS, *LINKS, *cidrs), 1))
        wanted += draw(some((*LINKS, *GROUPS), 1)) if draw(rarely) else []
        peers.append(Peer(node.public_key, allow(wanted)))
    if draw(st.booleans()):
        peers.insert(0, Peer(key("stranger"), allow(draw(some(STRANGERS, 3, 1)))))
    own = [
        ip_interface(f"{each}/{next(c.prefixlen for c in (*cidrs, *LINKS) if each in c)}")
        for each in me.addresses
    ]
    own += draw(some((ip_interface("172.16.0.1/24"), ip_interface("fe80::1/64")), 1))
    return Interface(me.public_key or b"", tuple(own), tuple(peers))


def limits() -> st.SearchStrategy[Limits]:
    """None, or one open a second: two clocks cannot agree on anything finer."""
    few = [Limits(1, burst) for burst in (1, 1, 2, 50)]
    return st.sampled_from([Limits(None, 0)] * len(few) + few)


@st.composite
def later(draw: st.DrawFn, world: World) -> World:
    """The same mesh after someone changed a thing."""
    document, interface = world.document, world.interface
    policy = document.policy
    changes = (
        "deny", "deny", "rules", "rule", "strict", "default", "limits", "tags", "hub", "peers",
        "groups",
    )  # fmt: skip
    match draw(st.sampled_from(changes)):
        case "deny":
            policy = replace(policy, rules=(*policy.rules, draw(bans(document))))
        case "rules":
            policy = replace(policy, rules=draw(rules(names_of(document.named))))
        case "rule" if policy.rules:
            gone = draw(st.sampled_from(policy.rules))
            kept = [rule for rule in policy.rules if rule is not gone]
            policy = replace(
                policy, rules=tuple(replace(r, number=i) for i, r in enumerate(kept, start=1))
            )
        case "strict":
            policy = replace(policy, strict=not policy.strict)
        case "default":
            policy = replace(
                policy,
                default=draw(actions(st.just(not policy.default.allows))),
                reject_ingress=not policy.reject_ingress,
            )
        case "limits":
            policy = replace(policy, limits=draw(limits()))
        case "tags":
            *named, spare = document.nodes
            which = draw(st.sampled_from(named))
            after = [replace(n, tags=draw(tags)) if n is which else n for n in named]
            document = replace(document, nodes=(*after, spare))
        case "groups":
            called = {name for rule in policy.rules for name in _names(rule)}
            groups = tuple(
                replace(group, cidrs=group.cidrs[:1], tags=draw(tags))
                for group in document.multicast
                if group.name in called or draw(mostly)
            )
            document = replace(document, multicast=groups)
        case "hub":
            vias = {node.via for node in document.nodes}
            after = [replace(n, transit=n.name in vias or not n.transit) for n in document.nodes]
            document = replace(document, nodes=tuple(after))
        case "peers" if interface.peers:
            gone_peer = draw(st.sampled_from(interface.peers))
            left = tuple(peer for peer in interface.peers if peer is not gone_peer)
            interface = replace(interface, peers=left)
    return World(replace(document, policy=policy), interface)


def _names(rule: Rule) -> Labels:
    return frozenset().union(*rule.sources.terms, *rule.destinations.terms)


def denying(world: World, ban: Rule, source: Labels, destination: Labels) -> World:
    """The same mesh with one more rule, which holds between those who have these labels."""
    rule = replace(ban, sources=_selector(source), destinations=_selector(destination))
    policy = world.document.policy
    policy = replace(policy, rules=(*policy.rules, rule))
    return replace(world, document=replace(world.document, policy=policy))


def opening(
    world: World, spans: tuple[PortSpan, ...], *ways: tuple[Labels, Labels], until: int | None
) -> World:
    """The same mesh, where no more may be opened than these ports, from the first to the second.

    An audit rule would deny the first of it.
    """
    selected = [(_selector(source), _selector(destination)) for source, destination in ways]
    allows = [
        Rule(i, f"way-{i}", *ends, spans, Action.ALLOW, audit=False, mark=NOWHERE, until=until)
        for i, ends in enumerate(selected, start=1)
    ]
    audit = replace(allows[0], number=len(allows) + 1, name="audit", action=Action.DENY, audit=True)
    policy = replace(
        world.document.policy,
        default=Action.DENY,
        strict=False,
        rules=(*allows, replace(audit, until=None)),
    )
    return replace(world, document=replace(world.document, policy=policy))


def _selector(labels: Labels) -> Selector:
    text = f"{{all: [{', '.join(sorted(labels))}]}}" if len(labels) > 1 else next(iter(labels), "*")
    return Selector((labels,), text)


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
            "ff02::5",
            "224.0.0.5",
            "239.1.2.3",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "fffe::1",
            "fe80::1",
            "febf:ffff::1",
            "fec0::1",
            "::1",
            "::",
            "::ffff:10.8.0.1",
        ),
    )
)
