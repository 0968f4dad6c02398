# SPDX-License-Identifier: Apache-2.0
"""Who a name or an address means, by the document alone: what `explain` and its tests go by.

The agent asks the interface as well; see `policy.view`.
"""

from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from krait.common.errors import UsageError
from krait.policy import values
from krait.policy.identities import named_nodes, node_labels, route_labels
from krait.policy.model import Address, Document, Labels, MulticastGroup, Network, Node, Route
from krait.policy.problems import quoted, suggestion

_BEHIND = " behind "


class Owner(NamedTuple):
    """A node, a subnet behind one, or a multicast group. A tuple: a mesh has many."""

    name: str
    node: str
    """The node by whose tunnel it is in the mesh: itself, or the one that it is behind, as subnets
    are and nodes without a key. What has the same one never meets in a tunnel. Of a group, its own
    name.
    """
    names: Labels  # what a selector may call it
    identity: Labels | None  # None: identity 0, a subnet without tags
    sends: bool = True  # what a group never does

    @property
    def asked(self) -> str:
        """What `find` knows it by: its name, or of a subnet the prefix."""
        return self.name.partition(_BEHIND)[0]

    @property
    def lacks_key(self) -> bool:
        """Whether it is a node without a key, or a subnet of one, behind a hub."""
        return self.name.split(_BEHIND)[-1] != self.node


def principals(document: Document) -> tuple[Owner, ...]:
    """Every node and tagged subnet, then every multicast group, in the order of the file."""
    named = named_nodes(document)
    owners = (owner for node in document.nodes for owner in _of_node(node, named))
    return (*owners, *(_group(group, named) for group in document.multicast))


def senders(owners: Iterable[Owner]) -> tuple[Owner, ...]:
    """Those that a packet can be from."""
    return tuple(owner for owner in owners if owner.sends)


def find(document: Document, text: str) -> Owner:
    """The node or group of that name, the subnet of that prefix, or the owner of that address.

    Raises UsageError where the document knows none.
    """
    node = next((node for node in document.nodes if node.name == text), None)
    if node is not None:
        return _node(node, named_nodes(document))
    group = next((group for group in document.multicast if group.name == text), None)
    if group is not None:
        return _group(group, named_nodes(document))
    if "/" in text:
        return _of_prefix(document, values.network(text))
    try:
        address = ip_address(text)
    except ValueError:
        raise _unknown(document, text) from None
    owner = _of_address(document, address)
    if owner is None:
        raise UsageError(
            f"{document.source} gives {address} to nobody",
            hint="name a node instead, if only the interface knows its addresses",
        )
    return owner


def _of_node(node: Node, named: Labels) -> Iterator[Owner]:
    yield _node(node, named)
    yield from (_subnet(node, route) for route in node.routes if route.tags)


def _node(node: Node, named: Labels) -> Owner:
    return Owner(node.name, by_tunnel(node), node.tags | {node.name}, node_labels(node, named))


def _subnet(node: Node, route: Route) -> Owner:
    name = f"{route.cidr}{_BEHIND}{node.name}"
    return Owner(name, by_tunnel(node), route.tags, route_labels(route))


def by_tunnel(node: Node) -> str:
    """The node by whose tunnel another is in the mesh, as `view.is_behind` has it."""
    return (node.via if node.public_key is None else None) or node.name


def _of_prefix(document: Document, cidr: Network) -> Owner:
    """The subnet, with tags or without, that the document gives just so."""
    for node in document.nodes:
        for route in node.routes:
            if route.cidr == cidr:
                return _subnet(node, route)
    raise UsageError(
        f"{document.source} has no subnet {cidr}",
        hint="write one as `routes` of its node has it, or ask about an address",
    )


def _group(group: MulticastGroup, named: Labels) -> Owner:
    names, identity = group.tags | {group.name}, node_labels(group, named)
    return Owner(group.name, group.name, names, identity, sends=False)


def _of_address(document: Document, address: Address) -> Owner | None:
    """The longest prefix decides, as in WireGuard's own table."""
    if address.is_multicast or address.is_link_local:
        return _of_reserved(document, address)
    for node in document.nodes:
        if address in node.addresses:
            return _node(node, named_nodes(document))
    holding = [
        (route.cidr.prefixlen, _subnet(node, route))
        for node in document.nodes
        for route in node.routes
        if ip_network(address).version == route.cidr.version and address in route.cidr
    ]
    return max(holding, key=lambda each: each[0])[1] if holding else None


def _of_reserved(document: Document, address: Address) -> Owner | None:
    """No route around such an address gives it to anybody."""
    named, whole = named_nodes(document), ip_network(address)
    for node in document.nodes:
        if address in node.addresses:
            return _node(node, named)
        for route in node.routes:
            if route.cidr == whole and not address.is_multicast:
                return _subnet(node, route)
    holding = [
        (cidr.prefixlen, group)
        for group in document.multicast
        for cidr in group.cidrs
        if address in cidr
    ]
    return _group(max(holding, key=lambda each: each[0])[1], named) if holding else None


def _unknown(document: Document, text: str) -> UsageError:
    members = [owner.asked for owner in principals(document) if text in owner.names]
    if members:
        return UsageError(
            f"{quoted(text)} is a tag, not a node", hint=f"name one that has it: {members[0]}"
        )
    nodes = {each.name for each in document.named}
    return UsageError(
        f"{document.source} has no node {quoted(text)}",
        hint=suggestion(text, nodes) or "give the name of a node, an address or a subnet",
    )
