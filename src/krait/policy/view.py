# SPDX-License-Identifier: Apache-2.0
"""One node's view of the mesh: who owns which address, as seen from its WireGuard interface.

The document says who the nodes are; the interface says which peers it has and which addresses
WireGuard ties to each. Together they give the principals. Both the compiler and the reference
stand on the view, so it holds no table shapes, only facts.
"""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import IPv4Interface, IPv6Interface, ip_network
from typing import NamedTuple, TypeAlias

from krait.common.errors import UsageError
from krait.policy.identities import named_nodes, node_labels, route_labels
from krait.policy.model import Document, Labels, Network, Node
from krait.policy.numbering import renumber
from krait.policy.prefixes import Prefixes
from krait.policy.reserved import carved

InterfaceAddress: TypeAlias = IPv4Interface | IPv6Interface

HERE = 0
"""The peer number of what is on this node or behind it, and of multicast groups."""


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


class Principal(NamedTuple):
    """The owner of an address. A tuple: there is one for every peer, and all are hashed."""

    name: str
    labels: Labels | None  # None: identity 0
    peer: int  # from 1, in the order of `View.peers`; HERE for this node and what is behind it
    unknown_peer: bool = False
    group: bool = False  # a multicast group


@dataclass(frozen=True, slots=True)
class View:
    """Everything that addresses mean to this node.

    `owners` maps prefixes to principals; the longest that holds an address decides, as in
    WireGuard's own table. A prefix of nobody (None) hides the shorter ones around it, as those of
    `policy.reserved` do.
    """

    node: Principal
    transit: bool
    mesh: tuple[Network, ...]
    peers: tuple[bytes | None, ...]  # public keys; place i is peer number i + 1
    owners: dict[Network, Principal | None] = field(hash=False)
    warnings: tuple[str, ...] = ()


def own_node(document: Document, public_key: bytes) -> Node:
    """The node that this machine is: the one with the interface's public key.

    Raises UsageError where the document names none, or says `node:` and means another.
    """
    mine = next((node for node in document.nodes if node.public_key == public_key), None)
    if mine is None:
        raise UsageError(
            f"{document.source}: no node has this interface's public key",
            hint="add a node with the key that "
            f"`wg show {document.interface or 'all'} public-key` prints",
        )
    if document.node is not None and document.node != mine.name:
        raise UsageError(
            f"{document.source}: `node: {document.node}`, but the interface's public key is that "
            f"of {mine.name}",
            hint="correct `node:`, or leave it out: the public key chooses",
        )
    return mine


def is_behind(node: Node, mine: Node) -> bool:
    """Whether a node is in the mesh by this one, without a key: as a subnet behind it is."""
    return node.public_key is None and node.via == mine.name


def resolve(
    document: Document, interface: Interface, known_peers: tuple[bytes | None, ...] = ()
) -> View:
    """Tie the document to the interface; peers already known keep their numbers.

    Raises UsageError where the document does not name this node.
    """
    mine = own_node(document, interface.public_key)
    places = renumber(known_peers, (peer.public_key for peer in interface.peers))
    scene = _Scene(document, interface, {key: i for i, key in enumerate(places, 1) if key})
    here = Principal(mine.name, node_labels(mine, scene.named), HERE)

    owners: dict[Network, Principal | None] = {**scene.allowed}
    warnings = [
        f"peer {b64encode(key).decode()} is not in the document: nothing passes to or from it"
        for key in scene.unknown()
    ]
    own = {ip_network(each.ip): here for each in interface.addresses}
    unvouched: list[_Claim] = []
    for claim in scene.claims(mine):
        number = HERE if HERE in claim.vouchers else scene.allowed_to(claim.cidr)
        if number in claim.vouchers:
            owners[claim.cidr] = claim.who._replace(peer=number)
        elif claim.cidr not in own:
            unvouched.append(claim)
    hidden = _worn(unvouched, owners)
    owners |= dict.fromkeys(claim.cidr for claim in hidden)
    warnings += _of_unvouched(unvouched, hidden, mine)
    owners |= own
    owners = carved(owners)
    for group in document.multicast:
        to_group = Principal(group.name, node_labels(group, scene.named), HERE, group=True)
        owners |= dict.fromkeys(group.cidrs, to_group)
    return View(here, mine.transit, scene.mesh, places, owners, tuple(warnings))


def withhold(view: View, cidrs: Iterable[Network]) -> View:
    """The view with these prefixes as nobody's, until it is sure whose they are."""
    return replace(view, owners=view.owners | dict.fromkeys(cidrs))


class _Claim(NamedTuple):
    """What the document gives to somebody, and the peers whose word is good for it, HERE for none
    that is needed.
    """

    cidr: Network
    who: Principal
    vouchers: tuple[int, ...]


class _Scene:
    """The document and the interface side by side, with what is looked up again and again."""

    def __init__(self, document: Document, interface: Interface, numbers: dict[bytes, int]) -> None:
        self.document = document
        self.interface = interface
        self.numbers = numbers
        self.named = named_nodes(document)
        self.mesh = document.mesh.cidrs if document.mesh else _on_link(interface.addresses)
        self.by_key = {node.public_key: node for node in document.nodes}
        self.allowed: dict[Network, Principal] = {}
        """Every allowed IP with its owner."""
        self.sure: set[str] = set()
        """The nodes all of whose addresses their own peers have as allowed IPs."""
        for peer in interface.peers:
            self._learn(peer)
        if len(self.allowed) < sum(len(peer.allowed_ips) for peer in interface.peers):
            self.sure.clear()  # a dump in which a prefix moved: the last peer has it

    def unknown(self) -> Iterator[bytes]:
        """The public keys of the peers that no node of the document has."""
        return (
            peer.public_key for peer in self.interface.peers if peer.public_key not in self.by_key
        )

    def claims(self, mine: Node) -> Iterator[_Claim]:
        """What the document gives to somebody, as far as allowed IPs do not say it.

        That is addresses and subnets, of who is reached by a hub, too: its own, or this node's.
        Which addresses are this node's, the interface alone says.
        """
        numbers = {n.name: self.numbers.get(n.public_key or b"") for n in self.document.nodes}
        for node in self.document.nodes:
            if node.name in self.sure and not node.routes:
                continue
            number = numbers[node.name]
            ways = (numbers[each] for each in (node.via, mine.via) if each)
            vouchers = tuple(each for each in ways if each) if number is None else (number,)
            if node is mine or is_behind(node, mine):
                vouchers = (HERE,)
            me = Principal(node.name, node_labels(node, self.named), HERE)
            for address in node.addresses:
                yield _Claim(ip_network(address), me, () if node is mine else vouchers)
            for route in node.routes:
                subnet = _subnet(node, route.cidr, HERE, route_labels(route))
                yield _Claim(route.cidr, subnet, vouchers)

    def allowed_to(self, cidr: Network) -> int | None:
        """The peer to which WireGuard ties all of a prefix that the longest allowed IP covers.

        A claim counts only if this peer is good for it: the document may split what WireGuard
        gives a peer, never move it to another.
        """
        owner = self._by_prefix.of(cidr)
        return None if owner is None else owner.peer

    @cached_property
    def _by_prefix(self) -> Prefixes[Principal]:
        """Of most meshes nobody asks: then no time goes into it."""
        return Prefixes(self.allowed)

    def _learn(self, peer: Peer) -> None:
        """The owners of a peer's allowed IPs.

        A full-length one inside the mesh is the node's own; every other is routed. Where the
        document lists the node's addresses, only those are its own; and what is link-local, for no
        router passes it on.
        """
        number, node = self.numbers[peer.public_key], self.by_key.get(peer.public_key)
        if node is None:
            stranger = Principal("unknown peer", None, number, unknown_peer=True)
            self.allowed |= dict.fromkeys(peer.allowed_ips, stranger)
            return
        me, own = Principal(node.name, node_labels(node, self.named), number), 0
        for cidr in peer.allowed_ips:
            if self._is_own(node, cidr):
                self.allowed[cidr] = me
                own += cidr.network_address in node.addresses
            else:
                self.allowed[cidr] = _subnet(node, cidr, number, None)
        if own == len(node.addresses):
            self.sure.add(node.name)

    def _is_own(self, node: Node, cidr: Network) -> bool:
        if cidr.prefixlen < cidr.max_prefixlen:
            return False
        if cidr.is_link_local:
            return True
        if node.addresses:
            return cidr.network_address in node.addresses
        return any(cidr.network_address in mesh for mesh in self.mesh)


def _worn(
    claims: Iterable[_Claim], owners: Mapping[Network, Principal | None]
) -> tuple[_Claim, ...]:
    """Those that somebody else would have here, with an identity that is not theirs.

    Where he has none, nothing passes anyway, and his peer is known for errors and counters.
    """
    longest = Prefixes(owners)
    return tuple(
        claim
        for claim in claims
        if (owner := longest.of(claim.cidr)) is not None and owner.labels is not None
    )


def _of_unvouched(claims: Iterable[_Claim], hidden: Iterable[_Claim], mine: Node) -> Iterator[str]:
    """Warnings. That no peer leads to somebody is usual, unless somebody else was around it."""
    for claim in claims:
        if claim.vouchers:
            yield f"{claim.who.name}: not in its peer's allowed IPs, so nothing reaches it"
    lost = dict.fromkeys(claim.who.name for claim in hidden if not claim.vouchers)
    if lost.pop(mine.name, "") is None:
        yield f"{mine.name}: not all of its addresses are on the interface: nothing reaches those"
    if lost:
        first, *others = lost
        more = f" and {len(others):,} more" if others else ""
        yield f"no peer here leads to {first}{more}: nothing passes to or from there"


def _on_link(addresses: Iterable[InterfaceAddress]) -> tuple[Network, ...]:
    """The mesh's range where the document names none: the interface's own prefixes."""
    return tuple(
        dict.fromkeys(
            each.network
            for each in addresses
            if each.network.prefixlen < each.max_prefixlen and not each.is_link_local
        )
    )


def _subnet(router: Node, cidr: Network, peer: int, labels: Labels | None) -> Principal:
    return Principal(f"{cidr} behind {router.name}", labels, peer)
