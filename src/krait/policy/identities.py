# SPDX-License-Identifier: Apache-2.0
"""From tags to identities: which sets of labels a document can produce, and their numbers."""

from collections.abc import Iterator
from dataclasses import dataclass

from krait.common.abi import FIRST_IDENTITY
from krait.policy.model import Document, Labels, Node, Route


@dataclass(frozen=True, slots=True)
class Identities:
    """Every identity in use. Its place is its number: dense, from 256, and local to this node."""

    labels: tuple[Labels, ...]
    numbers: dict[Labels, int]

    def number(self, labels: Labels | None) -> int:
        """The u32 for a set of labels; 0 for None, which stands for no identity."""
        return 0 if labels is None else self.numbers[labels]

    def __len__(self) -> int:
        return len(self.labels)


def named_nodes(document: Document) -> Labels:
    """The nodes that some rule names: only these need an identity of their own."""
    terms = (
        term
        for rule in document.policy.rules
        for selector in (rule.sources, rule.destinations)
        for term in selector.terms
    )
    named = frozenset(label for term in terms for label in term)
    return named & frozenset(node.name for node in document.nodes)


def node_labels(node: Node, named: Labels) -> Labels:
    """A node's identity: its tags, and its own name where a rule names it."""
    return node.tags | ({node.name} & named)


def route_labels(route: Route) -> Labels | None:
    """A subnet's identity is its own tags; without any it has none."""
    return route.tags or None


def _in_order(document: Document) -> Iterator[Labels]:
    named = named_nodes(document)
    for node in document.nodes:
        yield node_labels(node, named)
        yield from (labels for route in node.routes if (labels := route_labels(route)))


def assign(document: Document, known: tuple[Labels, ...] = ()) -> Identities:
    """Number every identity of the document.

    `known` are those already in the kernel's tables, in their order: they keep their numbers and
    new ones are appended, so that nothing in the tables moves.
    """
    labels = tuple(dict.fromkeys((*known, *_in_order(document))))
    return Identities(labels, {each: FIRST_IDENTITY + i for i, each in enumerate(labels)})
