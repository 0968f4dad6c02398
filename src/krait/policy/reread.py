# SPDX-License-Identifier: Apache-2.0
"""A document that was edited: of its nodes only those around the edit are read again.

The lines of the others become comments, line for line, and what is left is read as ever, so that
everything has its right place. That is sound because a block mapping is read from left to right,
entry by entry: one means the same whatever others stand before and after it. Where that, or
anything else, is not sure, or wrong, there is no answer here and `document.load` has the word: it
alone tells of problems.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

from krait.common import collector
from krait.policy.document import assemble
from krait.policy.model import Document, Mark, Node
from krait.policy.nodes import tags_of
from krait.policy.problems import DocumentError, Problems
from krait.policy.reader import Reader
from krait.policy.yaml_source import MAX_BYTES, MAX_EVENTS, Mapping, Tree, read

_MOST_BYTES = min(MAX_BYTES, MAX_EVENTS)
"""No document has more events than bytes, so one of this size cannot have too many."""


def reread(known: Document, old: bytes, new: bytes) -> Document | None:
    """What `load` makes of `new`, given what it made of `old`; None: ask it.

    Never raises; there is no answer for a document that `load` refuses.
    """
    if len(new) > _MOST_BYTES:
        return None
    edit = _Edit.between(old.split(b"\n"), new.split(b"\n"), known.nodes)
    problems = Problems(known.source)
    try:
        with collector.paused():
            tree = read(edit.rest(), problems)
            document = assemble(tree, known.source, Reader(problems), edit.kept)
        found = problems.settle(document)
    except DocumentError:
        return None
    is_sure = edit.stands_in(tree) and _go_together(found, edit.kept)
    return found if is_sure and found.mesh == known.mesh else None


@dataclass(frozen=True, slots=True)
class _Edit:
    """The lines of an edited document, and what of its nodes stayed as it was.

    A node's lines end where the next one's begin. So the node that ends at the edit, and the last
    of all, are read again: that they are found in their places, as keys of the same mapping, shows
    that what was hidden before them would have been read as it was before.
    """

    lines: list[bytes]
    above: Sequence[Node]
    below: Sequence[Node]  # at their new places
    after_above: Sequence[Node]  # one, or none if nothing is above
    after_below: Sequence[Node]

    @classmethod
    def between(cls, old: list[bytes], new: list[bytes], nodes: Sequence[Node]) -> Self:
        """`nodes` are those of the old document."""
        shorter = min(len(old), len(new))
        head = next((i for i in range(shorter) if old[i] != new[i]), shorter)
        rest = shorter - head
        tail = next((i for i in range(rest) if old[-1 - i] != new[-1 - i]), rest)
        before = bisect_right(nodes, head, key=_line)
        after = bisect_right(nodes, len(old) - tail, key=_line)
        below = _moved(nodes[after:], len(new) - len(old))
        last = max(before - 1, 0)
        return cls(new, nodes[:last], below[:-1], nodes[last:before], below[-1:])

    @property
    def kept(self) -> Sequence[Node]:
        """What is not read again."""
        return (*self.above, *self.below)

    def rest(self) -> bytes:
        """The document without the nodes that are kept."""
        lines = list(self.lines)
        for kept, after in ((self.above, self.after_above), (self.below, self.after_below)):
            for end in after if kept else ():
                first, last = _line(kept[0]) - 1, _line(end) - 1
                lines[first:last] = [b"#"] * (last - first)
        return b"\n".join(lines)

    def stands_in(self, tree: Tree) -> bool:
        """Whether the rest has what follows in its places, and no nodes in braces."""
        nodes = tree.values["nodes"] if isinstance(tree, Mapping) else None
        if not isinstance(nodes, Mapping):
            return False
        first = next(iter(nodes.keys.values()))
        anchors = (*self.after_above, *self.after_below)
        places = {name: Mark(key.line, key.column) for name, key in nodes.keys.items()}
        return (
            (nodes.line, nodes.column) == (first.line, first.column)
            and all(places.get(each.name) == each.mark for each in anchors)
            and all(each.mark.column == nodes.column for each in self.kept)
        )


def _go_together(document: Document, kept: Sequence[Node]) -> bool:
    """Whether what was kept has nothing in common with the rest that no two nodes may share."""
    names = {node.name for node in kept}
    others = [node for node in document.nodes if node.name not in names]
    hubs = {node.name for node in document.nodes if node.transit and node.via is None}
    keys = {node.public_key for node in others if node.public_key}
    prefixes = {each for node in others for each in _prefixes(node)}
    return (
        len(kept) + len(others) == len(document.nodes)
        and frozenset().union(*tags_of(kept)).isdisjoint(node.name for node in others)
        and all(node.via is None or node.via in hubs for node in kept)
        and keys.isdisjoint(node.public_key for node in kept)
        and prefixes.isdisjoint(each for node in kept for each in _prefixes(node))
    )


def _prefixes(node: Node) -> Iterator[tuple[int, int]]:
    """What it owns, of either version: two that look alike here are looked at by `load`."""
    for address in node.addresses:
        yield int(address), address.max_prefixlen
    for route in node.routes:
        yield int(route.cidr.network_address), route.cidr.prefixlen


def _moved(nodes: Sequence[Node], lines: int) -> Sequence[Node]:
    return [_at(node, lines) for node in nodes] if lines else nodes


def _at(node: Node, lines: int) -> Node:
    routes = tuple(replace(each, mark=_down(each.mark, lines)) for each in node.routes)
    return replace(node, mark=_down(node.mark, lines), routes=routes)


def _down(mark: Mark, lines: int) -> Mark:
    return Mark(mark.line + lines, mark.column)


def _line(node: Node) -> int:
    return node.mark.line
