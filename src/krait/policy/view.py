# SPDX-License-Identifier: Apache-2.0
"""One node's view of the mesh: who owns which address, as seen from its WireGuard interface.

The document says who the nodes are; the interface says which peers it has and which addresses
WireGuard ties to each. Together they give the principals. Both the compiler and the reference
stand on the view, so it holds no table shapes, only facts.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface, ip_network
from typing import TypeAlias

from krait.common.errors import UsageError
from krait.policy.identities import named_nodes, node_labels, route_labels
from krait.policy.model import Document, Labels, Network, Node

InterfaceAddress: TypeAlias = IPv4Interface | IPv6Interface

HERE = 0
"""The peer number of what is on this node or behind it."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A WireGuard peer: its X25519 public key (32 bytes) and what WireGuard lets it send from."""

    public_key: bytes
    allowed_ips: tuple[Network, ...]


@dataclass(frozen=True, slots=True)
class Interface:
    """What the policy needs to know of a WireGuard interface."""

    public_key: bytes
    addresses: tuple[InterfaceAddress, ...]
    peers: tuple[Peer, ...]


@dataclass(frozen=True, slots=True)
class Principal:
    """The owner of an address."""

    name: str
    labels: Labels | None  # None: identity 0
    peer: int  # from 1, in the order of `View.peers`; HERE for this node and what is behind it
    unknown_peer: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """Everything that addresses mean to this node.

    `owners` maps prefixes to principals; the longest that holds an address decides, as in
    WireGuard's own table.
    """

    node: Principal
    transit: bool
    mesh: tuple[Network, ...]
    peers: tuple[bytes, ...]
    owners: dict[Network, Principal] = field(hash=False)
    warnings: tuple[str, ...] = ()


def own_node(document: Document, public_key: bytes) -> Node:
    """The node that this machine is: the one with the interface's public key.

    Raises UsageError where the document names none, or says `node:` and means another.
    """
    mine = next((node for node in document.nodes if node.public_key == public_key), None)
    if mine is None:
        raise UsageError(
            f"{document.source}: no node has this interface's public key",
            hint="add a node with the key that `wg show INTERFACE public-key` prints",
        )
    if document.node is not None and document.node != mine.name:
        raise UsageError(
            f"{document.source}: `node: {document.node}`, but the interface's public key is that "
            f"of {mine.name}",
            hint="correct `node:`, or leave it out: the public key chooses",
        )
    return mine


def resolve(document: Document, interface: Interface) -> View:
    """Tie the document to the interface.

    Raises UsageError where the document does not name this node.
    """
    mine = own_node(document, interface.public_key)
    named = named_nodes(document)
    mesh = document.mesh.cidrs if document.mesh else _on_link(interface.addresses)
    node = Principal(mine.name, node_labels(mine, named), HERE)
    by_key = {each.public_key: each for each in document.nodes}
    numbers = {peer.public_key: i for i, peer in enumerate(interface.peers, start=1)}

    owners: dict[Network, Principal] = {}
    warnings: list[str] = []
    for peer in interface.peers:
        number, who = numbers[peer.public_key], by_key.get(peer.public_key)
        if who is None:
            stranger = Principal("unknown peer", None, number, unknown_peer=True)
            owners |= dict.fromkeys(peer.allowed_ips, stranger)
            continue
        owners |= _of_peer(who, peer, number, node_labels(who, named), mesh)
        warnings += (
            f"{who.name}: {route.cidr} is not in the peer's allowed IPs, so nothing reaches it"
            for route in who.routes
            if not _inside(route.cidr, peer.allowed_ips)
        )
    owners |= _behind_hubs(document, interface, numbers)
    owners |= {route.cidr: _subnet(mine, route_labels(route), route.cidr, HERE)
               for route in mine.routes}
    owners |= {ip_network(each.ip): node for each in interface.addresses}
    return View(
        node, mine.transit, mesh, tuple(peer.public_key for peer in interface.peers), owners,
        tuple(warnings),
    )


def _on_link(addresses: Iterable[InterfaceAddress]) -> tuple[Network, ...]:
    """The mesh's range where the document names none: the interface's own prefixes."""
    return tuple(dict.fromkeys(
        each.network for each in addresses
        if each.network.prefixlen < each.max_prefixlen and not each.is_link_local
    ))


def _inside(inner: Network, outers: Iterable[Network]) -> bool:
    return any(inner.version == o.version and inner.subnet_of(o) for o in outers)  # type: ignore[arg-type]


def _of_peer(
    who: Node, peer: Peer, number: int, labels: Labels, mesh: tuple[Network, ...]
) -> Iterator[tuple[Network, Principal]]:
    """A full-length allowed IP inside the mesh is the node's own; every other is routed.

    Where the document lists the node's addresses, only those are its own.
    """
    own = Principal(who.name, labels, number)
    for cidr in peer.allowed_ips:
        full = cidr.prefixlen == cidr.max_prefixlen and _inside(cidr, mesh)
        if full and (not who.addresses or cidr.network_address in who.addresses):
            yield cidr, own
        else:
            yield cidr, _subnet(who, None, cidr, number)
    for route in who.routes:
        if _inside(route.cidr, peer.allowed_ips):
            yield route.cidr, _subnet(who, route_labels(route), route.cidr, number)


def _subnet(router: Node, labels: Labels | None, cidr: Network, peer: int) -> Principal:
    return Principal(f"{cidr} behind {router.name}", labels, peer)


def _behind_hubs(
    document: Document, interface: Interface, numbers: dict[bytes, int]
) -> Iterator[tuple[Network, Principal]]:
    """Spokes without a peer of their own here: they are reached, and vouched for, by their hub."""
    named = named_nodes(document)
    by_name = {node.name: node for node in document.nodes}
    allowed = {peer.public_key: peer.allowed_ips for peer in interface.peers}
    for spoke in document.nodes:
        if spoke.via is None or (spoke.public_key or b"") in numbers:
            continue
        hub = by_name[spoke.via].public_key
        if hub is None or hub not in numbers:
            continue
        who = Principal(spoke.name, node_labels(spoke, named), numbers[hub])
        for address in spoke.addresses:
            if _inside(ip_network(address), allowed[hub]):
                yield ip_network(address), who
        for route in spoke.routes:
            if _inside(route.cidr, allowed[hub]):
                yield route.cidr, _subnet(spoke, route_labels(route), route.cidr, numbers[hub])
