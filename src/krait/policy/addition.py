# SPDX-License-Identifier: Apache-2.0
"""One more node in the text of a document, all else as it was: comments, order, layout.

The text is not written anew but cut where the last node ends. What comes out is read again, and has
to be the old document and the new node, nothing else.
"""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import yaml

from krait.common.errors import UsageError
from krait.policy.document import load
from krait.policy.draft import scalar
from krait.policy.model import Address, Document, Mark, Network, Node, Policy
from krait.policy.problems import DocumentError, quoted

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BYTE_ORDER_MARK = "\ufeff"
_INDENT = 2
_SOMEWHERE = Mark(1, 1)


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A node to add. In ranges of the mesh where it says no address it gets the next free one."""

    name: str
    public_key: bytes  # 32 bytes
    tags: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class Added:
    """A document that has one more node, the last."""

    data: bytes
    document: Document

    @property
    def node(self) -> Node:
        """The new one."""
        return self.document.nodes[-1]


def add(data: bytes, source: str, newcomer: Newcomer) -> Added:
    """The document of these bytes with the newcomer as its last node.

    Raises UsageError: where the document is wrong already, or would be with it, or where a range of
    the mesh has no free address left. The document's tests are not run.
    """
    old = load(data, source)
    for node in old.nodes:
        if node.name == newcomer.name:
            raise UsageError(
                f"{source} has a node {quoted(node.name)} already, in line {node.mark.line}",
                hint="choose another name, or edit that one",
            )
    newcomer = replace(newcomer, addresses=(*newcomer.addresses, *_free(old, newcomer.addresses)))
    text = _inserted(data.decode(), newcomer)
    try:
        new = load(text.encode(), source)
    except DocumentError as error:
        lines = (f"{each.message}; {each.hint}".rstrip("; ") for each in error.problems)
        raise UsageError(
            f"{source} would be wrong with {newcomer.name} in it:\n" + "\n".join(lines)
        ) from None
    if not _is_sum(old, newcomer, new):
        raise UsageError(
            f"{source}: cannot tell where its last node ends",
            hint=f"add this by hand: {_flow(newcomer)}",
        )
    return Added(text.encode(), new)


def next_free(document: Document, cidr: Network) -> Address | None:
    """The lowest address of a range that belongs to no node, nor to a subnet behind one."""
    lowest, highest = int(cidr.network_address), int(cidr.broadcast_address)
    taken = [
        (int(address), int(address))
        for node in document.nodes
        for address in node.addresses
        if address in cidr
    ]
    taken += [
        (int(route.cidr.network_address), int(route.cidr.broadcast_address))
        for node in document.nodes
        for route in node.routes
        if route.cidr.network_address in cidr and route.cidr.prefixlen > cidr.prefixlen
    ]
    if highest - lowest > 1:  # else point-to-point (RFC 3021, RFC 6164), where all are hosts
        taken += [(lowest, lowest), *([(highest, highest)] if cidr.version == 4 else [])]
    free = lowest
    for low, high in sorted(taken):
        if free < low:
            break
        free = max(free, high + 1)
    return cidr[free - lowest] if free <= highest else None


def _free(document: Document, given: tuple[Address, ...]) -> Iterator[Address]:
    for cidr in document.mesh.cidrs if document.mesh else ():
        if any(address in cidr for address in given):
            continue
        address = next_free(document, cidr)
        if address is None:
            raise UsageError(f"no address of {cidr} is free", hint="give the mesh one more range")
        yield address


def _inserted(text: str, newcomer: Newcomer) -> str:
    """The text with the newcomer behind the last node, in its style."""
    bare = text.removeprefix(_BYTE_ORDER_MARK)
    start, text = text[: len(text) - len(bare)], bare
    root: Any = yaml.compose(text, Loader=_LOADER)  # `load` went first: no aliases, no depth
    nodes = next(value for key, value in root.value if key.value == "nodes")
    key, last = nodes.value[-1]
    column, end = key.start_mark.column, _end(text, last)
    if nodes.flow_style:
        apart = nodes.start_mark.line != key.start_mark.line
        between = f",\n{' ' * column}" if apart else ", "
        return f"{start}{text[:end]}{between}{_flow(newcomer)}{text[end:]}"
    if last.flow_style:
        lines = [f"{' ' * column}{_flow(newcomer)}"]
    else:
        step = last.start_mark.column - column
        lines = [f"{' ' * column}{line}" for line in _block(newcomer, step)]
    if len(nodes.value) > 1:
        gap = text[_end(text, nodes.value[-2][1]) : key.start_mark.index]
        if any(not line.strip() for line in gap.splitlines()[1:-1]):
            lines.insert(0, "")
    head, newline, tail = text[end:].partition("\n")
    head, is_dos = head.removesuffix("\r"), head.endswith("\r")
    between = "\r\n" if is_dos else "\n"
    return f"{start}{text[:end]}{between.join((head, *lines))}{between if newline else ''}{tail}"


def _end(text: str, node: Any) -> int:  # noqa: ANN401 - the stubs know nothing of YAML's nodes
    """Where the last word of a value ends; YAML ends a block only before the next one's first."""
    while not isinstance(node, yaml.ScalarNode) and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return len(text[: node.end_mark.index].rstrip())


def _block(newcomer: Newcomer, step: int) -> Iterator[str]:
    yield f"{scalar(newcomer.name)}:"
    yield from (f"{' ' * step}{key}: {value}" for key, value in _fields(newcomer))


def _flow(newcomer: Newcomer) -> str:
    fields = ", ".join(f"{key}: {value}" for key, value in _fields(newcomer))
    return f"{scalar(newcomer.name)}: {{{fields}}}"


def _fields(newcomer: Newcomer) -> Iterator[tuple[str, str]]:
    yield "public_key", f'"{b64encode(newcomer.public_key).decode()}"'
    if newcomer.tags:
        yield "tags", f"[{', '.join(map(scalar, newcomer.tags))}]"
    addresses = [f'"{each}"' if each.version == 6 else str(each) for each in newcomer.addresses]
    if addresses:
        yield "address", addresses[0] if len(addresses) == 1 else f"[{', '.join(addresses)}]"
    if newcomer.endpoint:
        yield "endpoint", f'"{newcomer.endpoint}"'


def _is_sum(old: Document, newcomer: Newcomer, new: Document) -> bool:
    """Whether the new document is the old one and the newcomer: places aside, which moved."""
    *nodes, last = new.nodes
    return (
        [_unplaced(each) for each in nodes] == [_unplaced(each) for each in old.nodes]
        and (last.name, last.public_key) == (newcomer.name, newcomer.public_key)
        and (last.tags, last.addresses) == (frozenset(newcomer.tags), newcomer.addresses)
        and last.endpoint == newcomer.endpoint
        and (new.interface, new.node, new.mesh) == (old.interface, old.node, old.mesh)
        and _unplaced_policy(new.policy) == _unplaced_policy(old.policy)
    )


def _unplaced(node: Node) -> Node:
    routes = tuple(replace(route, mark=_SOMEWHERE) for route in node.routes)
    return replace(node, routes=routes, mark=_SOMEWHERE)


def _unplaced_policy(policy: Policy) -> Policy:
    return replace(
        policy,
        rules=tuple(replace(rule, mark=_SOMEWHERE) for rule in policy.rules),
        tests=tuple(replace(test, mark=_SOMEWHERE) for test in policy.tests),
    )
