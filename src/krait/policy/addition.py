# SPDX-License-Identifier: Apache-2.0
"""One more node in the text of a document, all else as it was: comments, order, layout.

The text is not written anew but cut where the last node ends, or where the first is missing. What
comes out is read again, and has to be the old document and the new node, nothing else.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import yaml

from krait.common.errors import UsageError
from krait.policy.document import load
from krait.policy.formatted import WIDTH
from krait.policy.model import Address, Document, Network, Node
from krait.policy.newcomer import Newcomer, as_fmt_has_it, block, flow
from krait.policy.places import unplaced_node, unplaced_policy
from krait.policy.problems import DocumentError, Problems, quoted
from krait.policy.reader import is_nothing
from krait.policy.yaml_source import Mapping, read

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BYTE_ORDER_MARK = "\ufeff"
_INDENT = 2


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
    try:
        old = load(data, source)
    except DocumentError:
        if not _awaits_first(data, source):
            raise
        alone = _load_with(_begun(data.decode(), newcomer), source, newcomer)
        return _added(replace(alone, nodes=()), newcomer, partial(_begun, data.decode()))
    for node in old.nodes:
        if node.name == newcomer.name:
            raise UsageError(
                f"{source} has a node {quoted(node.name)} already, in line {node.mark.line}",
                hint="choose another name, or edit that one",
            )
    return _added(old, newcomer, partial(_inserted, data.decode()))


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


def _added(old: Document, newcomer: Newcomer, insert: Callable[[Newcomer], str]) -> Added:
    newcomer = replace(newcomer, addresses=(*newcomer.addresses, *_free(old, newcomer.addresses)))
    text = insert(newcomer)
    new = _load_with(text, old.source, newcomer)
    if not _is_sum(old, newcomer, new):
        raise UsageError(
            f"{old.source}: cannot tell where its last node ends",
            hint=f"add this by hand: {flow(newcomer)}",
        )
    return Added(text.encode(), new)


def _load_with(text: str, source: str, newcomer: Newcomer) -> Document:
    try:
        return load(text.encode(), source)
    except DocumentError as error:
        lines = (f"{each.message}; {each.hint}".rstrip("; ") for each in error.problems)
        raise UsageError(
            f"{source} would be wrong with {newcomer.name} in it:\n" + "\n".join(lines),
            hint="say of it what fits the others: `krait add --help`",
        ) from None


def _awaits_first(data: bytes, source: str) -> bool:
    """Whether nobody is in it yet, and nothing is wrong with how it is written."""
    problems = Problems(source)
    with suppress(DocumentError):
        root = problems.settle(read(data, problems))
        if isinstance(root, Mapping):
            nodes = root.values.get("nodes")
            nobody = isinstance(nodes, Mapping) and not nodes.keys
            return nodes is None or nobody or is_nothing(nodes)
    return False


def _free(document: Document, given: tuple[Address, ...]) -> Iterator[Address]:
    for cidr in document.mesh.cidrs if document.mesh else ():
        if any(address in cidr for address in given):
            continue
        address = next_free(document, cidr)
        if address is None:
            raise UsageError(f"no address of {cidr} is free", hint="give the mesh one more range")
        yield address


def _begun(text: str, newcomer: Newcomer) -> str:
    """The text with the newcomer as its first node: below `nodes`, or both at the end."""
    start, text = _bare(text)
    root: Any = yaml.compose(text, Loader=_LOADER)  # it was read: no aliases, no depth
    if root.flow_style:
        return start + _begun_in_braces(text, root, newcomer)
    between = "\r\n" if "\r\n" in text else "\n"
    for key, value in root.value:
        if key.value == "nodes":
            column, head = key.start_mark.column, text[: value.start_mark.index].rstrip()
            comment, newline, tail = text[value.end_mark.index :].partition("\n")
            head += comment.rstrip()
            break
    else:
        column, head, newline, tail = root.start_mark.column, text.rstrip("\r\n"), "\n", ""
        head += f"{between}{' ' * column}nodes:"
    indent = " " * (column + _INDENT)
    lines = [f"{indent}{line}" for line in as_fmt_has_it(newcomer, len(indent), _INDENT)]
    return f"{start}{between.join((head, *lines))}{between if newline else ''}{tail}"


def _begun_in_braces(text: str, root: Any, newcomer: Newcomer) -> str:  # noqa: ANN401
    """Of a document that is all in braces: inside those of `nodes`, or with such behind all."""
    for key, value in root.value:
        if key.value == "nodes":
            if isinstance(value, yaml.MappingNode):
                at = value.start_mark.index + 1
                return f"{text[:at]}{flow(newcomer)}{text[at:]}"
            head, tail = text[: value.start_mark.index].rstrip(), text[value.end_mark.index :]
            return f"{head} {{{flow(newcomer)}}}{tail}"
    end = _end(text, root.value[-1][1])
    return f"{text[:end]}, nodes: {{{flow(newcomer)}}}{text[end:]}"


def _inserted(text: str, newcomer: Newcomer) -> str:
    """The text with the newcomer behind the last node, in its style."""
    start, text = _bare(text)
    root: Any = yaml.compose(text, Loader=_LOADER)  # `load` went first: no aliases, no depth
    nodes = next(value for key, value in root.value if key.value == "nodes")
    key, last = nodes.value[-1]
    column, end = key.start_mark.column, _end(text, last)
    if nodes.flow_style:
        apart = nodes.start_mark.line != key.start_mark.line
        between = f",\n{' ' * column}" if apart else ", "
        return f"{start}{text[:end]}{between}{flow(newcomer)}{text[end:]}"
    step = _INDENT if last.flow_style else last.start_mark.column - column
    written = text[key.start_mark.index : end]
    if step == _INDENT and _is_as_fmt_has_it(written, column, in_line=last.flow_style):
        own = as_fmt_has_it(newcomer, column, step)
    else:
        own = iter([flow(newcomer)]) if last.flow_style else block(newcomer, step)
    lines = [f"{' ' * column}{line}" for line in own]
    if len(nodes.value) > 1:
        gap = text[_end(text, nodes.value[-2][1]) : key.start_mark.index]
        if any(not line.strip() for line in gap.splitlines()[1:-1]):
            lines.insert(0, "")
    head, newline, tail = text[end:].partition("\n")
    head, is_dos = head.removesuffix("\r"), head.endswith("\r")
    between = "\r\n" if is_dos else "\n"
    return f"{start}{text[:end]}{between.join((head, *lines))}{between if newline else ''}{tail}"


def _is_as_fmt_has_it(node: str, column: int, *, in_line: bool) -> bool:
    """Whether a node stands in one line because it has room there, or in several because not."""
    first, *more = (line.strip() for line in node.splitlines())
    if in_line:
        return not more and column + len(first) <= WIDTH
    return "#" in node or column + len(f"{first} {{{', '.join(more)}}}") > WIDTH


def _bare(text: str) -> tuple[str, str]:
    """The byte order mark, if there is one, and all that follows."""
    bare = text.removeprefix(_BYTE_ORDER_MARK)
    return text[: len(text) - len(bare)], bare


def _end(text: str, node: Any) -> int:  # noqa: ANN401 - the stubs know nothing of YAML's nodes
    """Where the last word of a value ends; YAML ends a block only before the next one's first."""
    while not isinstance(node, yaml.ScalarNode) and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return len(text[: node.end_mark.index].rstrip())


def _is_sum(old: Document, newcomer: Newcomer, new: Document) -> bool:
    """Whether the new document is the old one and the newcomer: places aside, which moved."""
    *nodes, last = new.nodes
    return (
        [unplaced_node(each) for each in nodes] == [unplaced_node(each) for each in old.nodes]
        and (last.name, last.public_key) == (newcomer.name, newcomer.public_key)
        and (last.tags, last.addresses) == (frozenset(newcomer.tags), newcomer.addresses)
        and last.endpoint == newcomer.endpoint
        and (new.interface, new.node, new.mesh) == (old.interface, old.node, old.mesh)
        and new.multicast == old.multicast
        and unplaced_policy(new.policy) == unplaced_policy(old.policy)
    )
