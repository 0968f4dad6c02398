# SPDX-License-Identifier: Apache-2.0
"""From tags to identities: which sets of labels a document can produce."""

from collections.abc import Iterator

from krait.policy.model import Document, Labels, Named, Route


def named_nodes(document: Document) -> Labels:
    """The nodes and multicast groups that some rule names: only these need an identity of their
    own.
    """
    terms = (
        term
        for rule in document.policy.rules
        for selector in (rule.sources, rule.destinations)
        for term in selector.terms
    )
    named = frozenset(label for term in terms for label in term)
    return named & frozenset(each.name for each in document.named)


def node_labels(node: Named, named: Labels) -> Labels:
    """Its identity: its tags, and its own name where a rule names it."""
    return node.tags | {node.name} if node.name in named else node.tags


def route_labels(route: Route) -> Labels | None:
    """A subnet's identity is its own tags; without any it has none."""
    return route.tags or None


def in_words(labels: Labels) -> str:
    """An identity, for people."""
    return "+".join(sorted(labels)) or "no tags"


def identities(document: Document) -> tuple[Labels, ...]:
    """Every identity of the document, in the order of its nodes and groups."""
    return tuple(dict.fromkeys(_in_order(document)))


def _in_order(document: Document) -> Iterator[Labels]:
    named = named_nodes(document)
    for node in document.nodes:
        yield node_labels(node, named)
        yield from (labels for route in node.routes if (labels := route_labels(route)))
    yield from (node_labels(group, named) for group in document.multicast)
