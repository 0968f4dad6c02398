# SPDX-License-Identifier: Apache-2.0
"""What is seldom meant in a document that `krait up` is to make devices of: part of `advice`.

A document without `mesh`, or with neither an endpoint nor a port to listen on, is one for an
interface that another tool set up, and nothing is said of it.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from krait.common.errors import UsageError
from krait.policy.device import exits, peers_of, preshared_key_file
from krait.policy.endpoint import parse
from krait.policy.model import EVERYTHING_BITS, Document, Mark, Node

_About: TypeAlias = Callable[[Document], Iterator[tuple[Mark, str]]]


def remarks(document: Document) -> Iterator[tuple[str, Mark, str]]:
    """The id, the place and the words of every remark."""
    if _is_for_up(document):
        for what, about in _ABOUT.items():
            yield from ((what, mark, message) for mark, message in about(document))


def _is_for_up(document: Document) -> bool:
    if document.mesh is None:
        return False
    listens = document.mesh.listen_port is not None
    return listens or any(node.endpoint or node.listen_port for node in document.nodes)


def _strangers(document: Document) -> Iterator[tuple[Mark, str]]:
    """Two nodes without an endpoint: neither knows where to send the first packet."""
    hidden = {n.name: n for n in document.nodes if n.public_key and not n.endpoint}
    equals = [node for node in hidden.values() if not node.via]
    if len(equals) > 1:
        first, second, *others = equals
        more = f" and {len(others):,} more" if others else ""
        mend = "give one to all but one of them, or let a hub be their `via`"
        who = f"{first.name} and {second.name}{more}"
        yield first.mark, f"{who} have no endpoint and cannot reach each other: {mend}"
    for node in hidden.values():
        if node.via in hidden:
            who = f"neither {node.name} nor its hub {node.via}"
            yield node.mark, f"{who} has an endpoint, so they cannot reach each other"


def _loops(document: Document) -> Iterator[tuple[Mark, str]]:
    """An endpoint that is reached through the tunnel, which is reached through the endpoint…"""
    ranges = document.mesh.cidrs if document.mesh else ()
    for node in document.nodes:
        address = parse(node.endpoint).address if node.endpoint else None
        own = (route.cidr for route in node.routes if route.cidr.prefixlen > EVERYTHING_BITS)
        for cidr in (*ranges, *own):
            if address and address in cidr:
                where = f"the endpoint of {node.name} is in {cidr}"
                mend = "name an address outside"
                if cidr not in ranges:
                    mend += ", or take the route out"
                yield node.mark, f"{where}, which is reached through the tunnel: {mend}"


def _silent(document: Document) -> Iterator[tuple[Mark, str]]:
    """Who cannot be called, and does not call."""
    for node in document.nodes:
        if node.public_key and not node.endpoint and _keepalive_s(document, node) == 0:
            what = f"{node.name} has no endpoint and sends no keepalives"
            yield node.mark, f"{what}: behind a NAT, nobody reaches it once it falls silent"


def _disagreements(document: Document) -> Iterator[tuple[Mark, str]]:
    """Among those who are each other's peers, all have to name what the first one does."""
    nodes = {node.name: node for node in document.nodes}
    first: Node | None = None
    for node in document.nodes:
        if not node.preshared_key_file:
            continue
        other = nodes[node.via] if node.via else first
        first = first or (None if node.via else node)
        if other:
            try:
                preshared_key_file(document.mesh, other, node)
            except UsageError as error:
                yield node.mark, f"{error.message}: {error.hint}"


def _keepalive_s(document: Document, node: Node) -> int | None:
    if node.keepalive_s is not None:
        return node.keepalive_s
    return document.mesh.keepalive_s if document.mesh else None


def _crowds(document: Document) -> Iterator[tuple[Mark, str]]:
    """Groups that nobody's WireGuard sends to: it sends a prefix to one peer."""
    peers = {node.name: len(tuple(peers_of(document, node))) for node in document.nodes}
    crowded = [node.name for node in document.nodes if node.public_key and peers[node.name] > 1]
    for group in document.multicast if crowded else ():
        what = f"{crowded[0]} has {peers[crowded[0]]} peers, and WireGuard sends to one"
        yield group.mark, f"{what}: nothing leaves it for {group.name}; make a link for each two"


_ABOUT: Mapping[str, _About] = {
    "no-endpoint": _strangers,
    "looped-endpoint": _loops,
    "silent-node": _silent,
    "unlike-keys": _disagreements,
    "exit-node": exits,
    "many-peers": _crowds,
}

IDS = frozenset(_ABOUT)
"""What its remarks are about."""
