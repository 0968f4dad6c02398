# SPDX-License-Identifier: Apache-2.0
"""The WireGuard device that a document wants on one node: what `krait up` makes and keeps.

It stands on the document alone. What is the machine's to say (the MTU of the underlay, what a host
name resolves to, the keys in files) is for who makes the device.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_interface

from krait.common.errors import UsageError
from krait.policy.endpoint import parse
from krait.policy.model import (
    EVERYTHING_BITS,
    Address,
    Document,
    Mark,
    Mesh,
    Network,
    Node,
    is_within,
)
from krait.policy.problems import Problems, quoted, suggestion
from krait.policy.values import PAIR
from krait.policy.view import InterfaceAddress, is_behind

_LINKS: tuple[Network, ...] = (IPv4Network("169.254.0.0/16"), IPv6Network("fe80::/64"))
"""What is on the link of every device (RFC 3927; RFC 4291, 2.5.6)."""

KEEPALIVE_S = 25
"""Below the 30 s after which the hastiest NAT forgets a UDP flow."""


@dataclass(frozen=True, slots=True)
class WantedPeer:
    """A peer on the device."""

    name: str
    public_key: bytes  # 32 bytes, X25519
    endpoint: str | None  # host:port, an IPv6 host in brackets
    keepalive_s: int  # 0: none are sent
    allowed_ips: tuple[Network, ...]
    preshared_key_file: str | None


@dataclass(frozen=True, slots=True)
class WantedDevice:
    """A device, its peers in the order of the document, and the routes that belong to it.

    `routes` lead through the device beside those that its addresses bring along. `unreachable` is
    all that belongs into the tunnel: with a worse metric than a route through the device, it is
    what is left when the device is gone, so that nothing leaves by the default route in plaintext.
    """

    node: str
    interface: str
    public_key: bytes
    addresses: tuple[InterfaceAddress, ...]  # with the length of the range around each
    listen_port: int | None  # None: any
    mtu: int | None  # None: what the underlay leaves
    peers: tuple[WantedPeer, ...]
    routes: tuple[Network, ...]
    unreachable: tuple[Network, ...]
    mesh: tuple[Network, ...] = ()  # its ranges, which are nobody else's on this machine, but for
    behind: tuple[Network, ...] = ()  # what is reached by another interface of it
    inner: tuple[Network, ...] = ()  # and what is not, though it is inside of that in a range
    multicast: bool = False  # whether groups are reached through it

    @property
    def preferred(self) -> tuple[Network, ...]:
        """What of all in the ranges no network of the machine's draws past the tunnel."""
        return (*self.mesh, *self.inner)

    @property
    def thrown(self) -> tuple[Network, ...]:
        """What is in a range, and not for the tunnel."""
        return _inside(self.behind, self.mesh)


def wanted(document: Document, node: str, *, interface: str | None = None) -> WantedDevice:
    """The device of the node of this name; `interface` is the one asked for, if any.

    Raises UsageError: DocumentError with everything that the document lacks for it, or where the
    interface asked for is not the document's.
    """
    if interface and document.interface not in (None, interface):
        raise UsageError(
            f"{document.source}: `interface: {document.interface}`, but {interface} is asked for",
            hint="name the document of this interface, or correct `interface:`",
        )
    name, own = interface or document.interface, _node(document, node)
    problems = Problems(document.source)
    _find_missing(document, own, name, problems)
    _find_unfit(document, own, problems)
    mesh, key = problems.settle(document.mesh), problems.settle(own.public_key)
    peers = tuple(_Seat(document, mesh, own).peers())
    subnets = tuple(
        route.cidr
        for other in document.nodes
        if other is not own and not is_behind(other, own)
        for route in other.routes
        if not any(is_within(route.cidr, cidr) for cidr in mesh.cidrs)
    )
    here = tuple(behind(document, own))
    inner = tuple(_of_others(document, own, _inside(here, mesh.cidrs)))
    bare = (cidr for cidr in mesh.cidrs if not any(each in cidr for each in own.addresses))
    return WantedDevice(
        node=own.name,
        interface=problems.settle(name),
        public_key=key,
        addresses=tuple(
            ip_interface(f"{each}/{cidr.prefixlen}")
            for each in own.addresses
            for cidr in (*mesh.cidrs, *_LINKS)
            if each in cidr
        ),
        listen_port=_first(
            own.listen_port, mesh.listen_port, parse(own.endpoint).port if own.endpoint else None
        ),
        mtu=_first(own.mtu, mesh.mtu),
        peers=peers,
        routes=(*bare, *subnets, *inner),
        unreachable=(*mesh.cidrs, *subnets, *inner),
        mesh=mesh.cidrs,
        behind=here,
        inner=inner,
        multicast=bool(document.multicast) and len(peers) == 1,
    )


def without_ipv6(device: WantedDevice) -> WantedDevice:
    """The same on a machine that has no IPv6 for it: its IPv6 stays unreachable."""
    return replace(
        device,
        addresses=tuple(each for each in device.addresses if each.version == 4),
        routes=tuple(each for each in device.routes if each.version == 4),
    )


def peers_of(document: Document, own: Node) -> Iterator[Node]:
    """The nodes that this one has a tunnel to: all those with a key, except across a hub."""
    for other in document.nodes:
        if other is own or other.public_key is None:
            continue
        if own.via in (None, other.name) and other.via in (None, own.name):
            yield other


def behind(document: Document, own: Node) -> Iterator[Network]:
    """What no tunnel leads to: this node's subnets, and who is in the mesh by it, without a key."""
    yield from (route.cidr for route in own.routes)
    for node in document.nodes:
        if is_behind(node, own):
            yield from _prefixes(node)


def exits(document: Document) -> Iterator[tuple[Mark, str]]:
    """Routes to everything: they mean something to a policy, and no device is made of them."""
    for node in document.nodes:
        for route in node.routes:
            if route.cidr.prefixlen <= EVERYTHING_BITS:
                yield route.mark, f"{route.cidr} of {node.name}: `krait up` makes no exit node"


def preshared_key_file(mesh: Mesh | None, one: Node, other: Node) -> str | None:
    """The file with the preshared key of a pair; the same whichever of them asks.

    A node's own word goes before the mesh's. Raises UsageError where the two nodes disagree.
    """
    pair = "_".join(sorted((one.name, other.name)))
    said = [each for each in (one.preshared_key_file, other.preshared_key_file) if each]
    if not said and mesh and mesh.preshared_key_file:
        said = [mesh.preshared_key_file]
    paths = sorted({each.replace(PAIR, pair) for each in said})
    if len(paths) > 1:
        raise UsageError(
            f"{one.name} and {other.name} name different files for the preshared key they share",
            hint=f"name it at one of them, or name the same at both, with `{PAIR}` in it",
        )
    return paths[0] if paths else None


def _node(document: Document, name: str) -> Node:
    for node in document.nodes:
        if node.name == name:
            return node
    raise UsageError(
        f"{document.source} has no node {quoted(name)}",
        hint=suggestion(name, {each.name for each in document.nodes}) or "name one that it has",
    )


def _find_missing(document: Document, own: Node, interface: str | None, problems: Problems) -> None:
    """What drop-in mode does without, and a device that is to be made cannot."""
    lacks = [
        name
        for name, value in (("`mesh`", document.mesh), ("`interface`", interface))
        if value is None
    ]
    if lacks:
        problems.add(
            Mark(1, 1),
            f"the document lacks {' and '.join(lacks)}, which `krait up` needs",
            "such as `mesh: {cidr: 10.8.0.0/24}` and `interface: wg0`",
        )
    for node in document.nodes:
        lacks = [] if node.addresses else ["`address`"]
        if node.public_key is None:
            lacks = [*lacks, "`public_key`"] if node is own else []
        if lacks:
            problems.add(
                node.mark,
                f"node {quoted(node.name)} lacks {' and '.join(lacks)}, which `krait up` needs",
                f"`krait genkey {interface or 'wg0'}` there prints its public key"
                if "`public_key`" in lacks
                else "give it the one that it has on the interface, or a free one of the mesh",
            )


def _find_unfit(document: Document, own: Node, problems: Problems) -> None:
    """What means something to a policy and cannot be made into a device."""
    for mark, message in exits(document):
        hint = "its own packets would enter the tunnel; name the subnets that are meant"
        problems.add(mark, message, hint)
    for other in peers_of(document, own):
        try:
            preshared_key_file(document.mesh, own, other)
        except UsageError as error:
            problems.add(other.mark, error.message, error.hint)


@dataclass(frozen=True, slots=True)
class _Seat:
    """The mesh as one node's WireGuard sees it."""

    document: Document
    mesh: Mesh
    own: Node

    def peers(self) -> Iterator[WantedPeer]:
        behind = self._behind()
        peers = tuple(peers_of(self.document, self.own))
        # WireGuard sends a prefix to one peer: to a group of several there is no way.
        groups = self.document.multicast if len(peers) == 1 else ()
        for peer in peers:
            if peer.public_key is not None:
                yield WantedPeer(
                    peer.name,
                    peer.public_key,
                    peer.endpoint,
                    self._keepalive_s(peer),
                    (
                        *_prefixes(peer),
                        *behind.get(peer.name, ()),
                        *(cidr for group in groups for cidr in group.cidrs),
                    ),
                    preshared_key_file(self.mesh, self.own, peer),
                )

    def _behind(self) -> dict[str, list[Network]]:
        """What is reached through each hub, by its name."""
        found: dict[str, list[Network]] = {}
        for node in self.document.nodes:
            hub = self.own.via or node.via
            if hub and self.own.name not in (hub, node.name) and node.name != hub:
                found.setdefault(hub, []).extend(_prefixes(node))
        return found

    def _keepalive_s(self, peer: Node) -> int:
        """As said; else from who has no endpoint, for it may be behind a NAT, to who has one."""
        hidden = self.own.endpoint is None and peer.endpoint is not None
        said = _first(self.own.keepalive_s, self.mesh.keepalive_s)
        return (KEEPALIVE_S if hidden else 0) if said is None else said


def _prefixes(node: Node) -> tuple[Network, ...]:
    """What WireGuard lets a node send from."""
    return (*map(_alone, node.addresses), *(route.cidr for route in node.routes))


def _alone(address: Address) -> Network:
    """The prefix of one address; `ip_network` would write it out and parse it again."""
    return (IPv4Network if address.version == 4 else IPv6Network)(int(address))


def _of_others(document: Document, own: Node, around: tuple[Network, ...]) -> Iterator[Network]:
    """What the tunnel leads to inside of these."""
    for node in document.nodes if around else ():
        if node is not own and not is_behind(node, own):
            yield from _inside(_prefixes(node), around)


def _inside(cidrs: Iterable[Network], around: tuple[Network, ...]) -> tuple[Network, ...]:
    return tuple(each for each in cidrs if any(is_within(each, cidr) for cidr in around))


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)
