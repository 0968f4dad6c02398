# SPDX-License-Identifier: Apache-2.0
"""The sections `mesh` and `nodes`: who there is, and which addresses belong to whom."""

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_network
from typing import TypeVar

from krait.policy import values
from krait.policy.model import (
    Address,
    Labels,
    Mark,
    Mesh,
    Network,
    Node,
    Route,
)
from krait.policy.problems import quoted, suggestion
from krait.policy.ranges import mesh_range, overlap, subnet
from krait.policy.reader import Reader
from krait.policy.selectors import Names
from krait.policy.yaml_source import Mapping, Scalar, Tree
from krait.policy.yaml_source import Sequence as Listed

T = TypeVar("T")

MAX_RANGES = 64
"""Of a mesh: each address is looked for in all of them."""

DEVICE_KEYS = frozenset({"listen_port", "mtu", "keepalive", "preshared_key_file"})
"""What `krait up` sets: a node says it for itself, the mesh for the nodes that do not."""

MESH_KEYS = DEVICE_KEYS | {"cidr"}
ROUTE_KEYS = frozenset({"cidr", "tags"})
NODE_KEYS = DEVICE_KEYS | {
    "public_key",
    "tags",
    "address",
    "routes",
    "endpoint",
    "transit",
    "via",
    "guard",
}


def read_mesh(tree: Tree, reader: Reader) -> Mesh | None:
    """The ranges of the mesh, none of which overlaps another; None if not all could be read."""
    fields = reader.mapping(tree, "mesh", MESH_KEYS, ("cidr",))
    if fields is None:
        return None
    written = reader.one_or_more(fields.get("cidr"), "cidr")
    if not written and "cidr" in fields:
        reader.problems.add(fields["cidr"], "cidr: expected at least one range")
    if len(written) > MAX_RANGES:
        reader.problems.add(
            written[MAX_RANGES],
            f"cidr: more than {MAX_RANGES} ranges",
            "join them, or let nodes have subnets behind them: `routes`",
        )
        return None
    cidrs: list[Network] = []
    for at, cidr in reader.values(fields.get("cidr"), "cidr", mesh_range):
        for other in cidrs:
            if overlap(cidr, other):
                reader.problems.add(
                    at, f"cidr: {cidr} overlaps {other}", "leave out one of them, or narrow it"
                )
        cidrs.append(cidr)
    device = _Device(reader, fields, ipv6=any(cidr.version == 6 for cidr in cidrs))
    mesh = Mesh(
        tuple(cidrs),
        device.listen_port(),
        device.mtu(),
        device.keepalive_s(),
        device.preshared_key_file(),
    )
    return mesh if cidrs and len(cidrs) == len(written) else None


def read_nodes(
    tree: Tree, mesh: Mesh | None, reader: Reader, kept: Sequence[Node] = ()
) -> tuple[tuple[Node, ...], Names]:
    """The nodes in the order of the file, and every name that rules may use.

    Nodes that are `kept` were read before, and stand in the file beside those of the tree.
    """
    if not isinstance(tree, Mapping) or not tree.keys:
        reader.problems.add(
            tree,
            "nodes: expected a mapping of names to nodes, with at least one",
            "write `NAME: {public_key: …}` in the place of `- name: NAME`"
            if isinstance(tree, Listed)
            else "`krait add` puts one in",
        )
        return (), Names(frozenset(), frozenset())
    section = _Section(reader, mesh)
    read = [section.node(key, tree.values[name]) for name, key in tree.keys.items()]
    nodes = sorted((*kept, *filter(None, read)), key=lambda node: node.mark.line)
    names = Names(
        frozenset(tree.keys).union(node.name for node in kept),
        frozenset(section.tags).union(*tags_of(kept)),
    )
    section.check_tags(names.nodes)
    section.check_vias({node.name: node for node in nodes})
    return tuple(nodes), names


def tags_of(nodes: Iterable[Node]) -> Set[Labels]:
    """Every set of tags that a node or a route has."""
    return {node.tags for node in nodes} | {each.tags for node in nodes for each in node.routes}


@dataclass(frozen=True, slots=True)
class _Device:
    """Reads the DEVICE_KEYS among some fields."""

    reader: Reader
    fields: dict[str, Tree]
    ipv6: bool  # whether the tunnel carries it

    def listen_port(self) -> int | None:
        return self._read("listen_port", values.listen_port)

    def mtu(self) -> int | None:
        return self._read("mtu", partial(values.mtu, ipv6=self.ipv6))

    def keepalive_s(self) -> int | None:
        return self._read("keepalive", values.keepalive_s)

    def preshared_key_file(self) -> str | None:
        return self._read("preshared_key_file", values.preshared_key_file)

    def _read(self, key: str, parse: Callable[[str], T]) -> T | None:
        return self.reader.value(self.fields.get(key), key, parse)


@dataclass(slots=True)
class _Section:
    """What the nodes of one document must not share, and where each was first seen."""

    reader: Reader
    mesh: Mesh | None
    tags: dict[str, Scalar] = field(default_factory=dict)
    keys: dict[bytes, Scalar] = field(default_factory=dict)
    owners: dict[Network, tuple[Scalar, Scalar]] = field(default_factory=dict)
    vias: dict[str, Scalar] = field(default_factory=dict)

    def node(self, key: Scalar, tree: Tree) -> Node | None:
        name = self.reader.value(key, "node", values.name) or key.text
        fields = self.reader.mapping(tree, f"node {quoted(name)}", NODE_KEYS)
        if fields is None:
            return None
        read = self.reader.value
        via = read(fields.get("via"), "via", values.name)
        if via and isinstance(at := fields["via"], Scalar):
            self.vias[name] = at
        addresses = self._addresses(key, fields)
        carried = (*addresses, *(self.mesh.cidrs if self.mesh else ()))
        ipv6 = any(each.version == 6 for each in carried)
        device = _Device(self.reader, fields, ipv6=ipv6)
        return Node(
            name,
            self._public_key(key, fields),
            self._tags(fields.get("tags")),
            addresses,
            self._routes(key, fields.get("routes")),
            read(fields.get("endpoint"), "endpoint", values.endpoint),
            device.preshared_key_file(),
            self.reader.flag(fields.get("transit"), "transit"),
            via,
            Mark(key.line, key.column),
            device.listen_port(),
            device.mtu(),
            device.keepalive_s(),
            self.reader.flag(fields["guard"], "guard") if "guard" in fields else None,
        )

    def check_tags(self, nodes: Labels) -> None:
        """Tags and nodes share one namespace, so that a selector can mean only one thing."""
        for tag in self.tags.keys() & nodes:
            self.reader.problems.add(
                self.tags[tag], f"tag {quoted(tag)} is also the name of a node", "rename one"
            )

    def check_vias(self, nodes: dict[str, Node]) -> None:
        """`via` names a hub that is reached directly."""
        for name, at in self.vias.items():
            hub = nodes.get(at.text)
            if hub is None:
                problem, hint = f"unknown node {quoted(at.text)}", suggestion(at.text, nodes)
            elif hub.name == name:
                problem, hint = f"{name} cannot be reached through itself", "name the hub"
            elif hub.via is not None:
                problem, hint = (
                    f"{hub.name} has a via of its own",
                    "name the hub; chains do not work",
                )
            elif not hub.transit:
                problem, hint = f"{hub.name} is no hub", "say `transit: true` there"
            else:
                continue
            self.reader.problems.add(at, f"via: {problem}", hint)

    def _public_key(self, node: Scalar, fields: dict[str, Tree]) -> bytes | None:
        tree = fields.get("public_key")
        key = self.reader.value(tree, "public_key", values.public_key)
        if tree is None and "via" not in fields:
            self.reader.problems.add(
                node,
                f"node {quoted(node.text)} lacks `public_key`",
                "only a node with `via` may lack one",
            )
        if key is None or not isinstance(tree, Scalar):
            return None
        first = self.keys.setdefault(key, node)
        if first is not node:
            self.reader.problems.add(
                tree,
                f"public_key: it is already that of {first.text} in line {first.line}",
                "each node has a key of its own: correct one of the two",
            )
        return key

    def _tags(self, tree: Tree | None) -> Labels:
        tags = self.reader.values(tree, "tags", values.name)
        for at, tag in tags:
            self.tags.setdefault(tag, at)
        return frozenset(tag for _, tag in tags)

    def _addresses(self, node: Scalar, fields: dict[str, Tree]) -> tuple[Address, ...]:
        addresses = self.reader.values(fields.get("address"), "address", values.address)
        mtu = self.mesh.mtu if self.mesh and "mtu" not in fields else None
        for at, address in addresses:
            self._own(node, at, ip_network(address), "address")
            outside = self.mesh and not any(address in cidr for cidr in self.mesh.cidrs)
            if self.mesh and outside and not address.is_link_local:
                ranges = ", ".join(map(str, self.mesh.cidrs))
                self.reader.problems.add(
                    at, f"address: {address} is outside the mesh", f"the mesh is {ranges}"
                )
            elif address.version == 6 and mtu and mtu < values.LEAST_MTU6:
                self.reader.problems.add(
                    at,
                    f"address: {address} needs an MTU of {values.LEAST_MTU6}, the mesh has {mtu}",
                    "raise `mtu` there, or give this node one of its own",
                )
        return tuple(address for _, address in addresses)

    def _routes(self, node: Scalar, tree: Tree | None) -> tuple[Route, ...]:
        read = (self._route(node, each) for each in self.reader.one_or_more(tree, "routes"))
        return tuple(route for route in read if route)

    def _route(self, node: Scalar, tree: Tree) -> Route | None:
        written: Tree | None = tree
        tags: Labels = frozenset()
        if isinstance(tree, Mapping):
            fields = self.reader.mapping(tree, "a route", ROUTE_KEYS, ("cidr",)) or {}
            written, tags = fields.get("cidr"), self._tags(fields.get("tags"))
        cidr = self.reader.value(written, "routes", subnet)
        if cidr is None or not isinstance(written, Scalar):
            return None
        self._own(node, written, cidr, "routes")
        return Route(cidr, tags, Mark(tree.line, tree.column))

    def _own(self, node: Scalar, at: Scalar, cidr: Network, what: str) -> None:
        """Every prefix has one owner; a longer one inside it may have another."""
        owner, first = self.owners.setdefault(cidr, (node, at))
        if first is not at:
            self.reader.problems.add(
                at,
                f"{what}: {quoted(at.text)} already belongs to {owner.text}",
                f"it is listed in line {first.line}",
            )
