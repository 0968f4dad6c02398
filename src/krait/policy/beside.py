# SPDX-License-Identifier: Apache-2.0
"""Another document's policy as the shadow of the one in force: both over the same identities.

Each node gets the labels that it has in either document, the other's under a prefix that no label
can begin with; so one identity stands for one set of labels here and one there, and two policies
share one numbering. Who is in one of the documents only cannot be told from anybody else there, and
the shadow has nothing to say of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from krait.policy.identities import named_nodes, node_labels
from krait.policy.model import (
    Document,
    Labels,
    MulticastGroup,
    Named,
    Node,
    Policy,
    Route,
    Selector,
)

_PREFIX = "shadow/"  # no tag or name holds a slash
UNKNOWN: Labels = frozenset({_PREFIX})
"""The label of those that the shadow does not know."""

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Beside:
    """Two documents, told as one."""

    document: Document
    """The one in force, with the labels that nodes have in the other."""
    shadow: Policy
    """The other's policy, in those labels."""
    warnings: tuple[str, ...]
    """What the shadow cannot tell."""


def beside(document: Document, other: Document) -> Beside:
    """`other` as the shadow of `document`. Nodes are the same by public key, else by name;
    multicast groups by name and addresses.
    """
    both = _Both(document, other)
    return Beside(
        document=replace(
            document,
            nodes=tuple(map(both.node, document.nodes)),
            multicast=tuple(map(both.group, document.multicast)),
        ),
        shadow=_in_its_labels(other.policy),
        warnings=tuple(both.warnings()),
    )


def visible(labels: Labels) -> Labels:
    """The labels that the document in force gives."""
    return frozenset(each for each in labels if not each.startswith(_PREFIX))


class _Both:
    def __init__(self, document: Document, other: Document) -> None:
        self._document, self._other = document, other
        self._named = named_nodes(other)
        self._by_key = {node.public_key: node for node in other.nodes if node.public_key}
        self._by_name = {node.name: node for node in other.nodes}
        self._groups = {(each.name, frozenset(each.cidrs)): each for each in other.multicast}
        self._alone: list[str] = []
        self._subnets: list[str] = []

    def node(self, node: Node) -> Node:
        twin = self._twin(node)
        labels = self._labels(node.name, twin)
        tags = {route.cidr: route.tags for route in twin.routes} if twin else {}
        routes = tuple(self._route(route, tags.get(route.cidr)) for route in node.routes)
        return replace(node, tags=node.tags | labels, routes=routes)

    def group(self, group: MulticastGroup) -> MulticastGroup:
        twin = self._groups.get((group.name, frozenset(group.cidrs)))
        return replace(group, tags=group.tags | self._labels(group.name, twin))

    def warnings(self) -> Iterator[str]:
        """Once every node was asked for."""
        document, other = self._document, self._other
        if self._alone:
            yield f"it does not name {_some(self._alone)}: what they do is not rehearsed"
        if self._subnets:
            yield f"it tags {_some(self._subnets)} only in one of the two: not rehearsed"
        keys = {node.public_key for node in document.nodes} - {None}
        names = {node.name for node in document.nodes}
        new = [n.name for n in other.nodes if n.public_key not in keys and n.name not in names]
        if new:
            yield f"{_some(new)} is not there yet: not rehearsed"
        if other.policy.strict != document.policy.strict:
            yield "its `strict` is not rehearsed"
        if other.policy.limits != document.policy.limits:
            yield "its `limits` are not rehearsed"
        if any(rule.until is not None for rule in other.policy.rules):
            yield "its rules do not end, in rehearsal"

    def _labels(self, name: str, twin: Named | None) -> Labels:
        if twin is None:
            self._alone.append(name)
            return UNKNOWN
        return _prefixed(node_labels(twin, self._named))

    def _twin(self, node: Node) -> Node | None:
        if node.public_key in self._by_key:
            return self._by_key[node.public_key]
        found = self._by_name.get(node.name)
        return found if found and found.public_key == node.public_key else None

    def _route(self, route: Route, tags: Labels | None) -> Route:
        """Where either has none it is identity 0 there, which must not become one by this."""
        if not route.tags or not tags:
            if route.tags or tags:
                self._subnets.append(str(route.cidr))
            return replace(route, tags=route.tags | UNKNOWN) if route.tags else route
        return replace(route, tags=route.tags | _prefixed(tags))


def _in_its_labels(policy: Policy) -> Policy:
    seen: dict[Selector, Selector] = {}

    def anew(selector: Selector) -> Selector:
        if selector not in seen:
            seen[selector] = replace(selector, terms=tuple(map(_prefixed, selector.terms)))
        return seen[selector]

    rules = tuple(
        replace(rule, sources=anew(rule.sources), destinations=anew(rule.destinations), until=None)
        for rule in policy.rules
    )
    return replace(policy, rules=rules, tests=())


def _prefixed(labels: Labels) -> Labels:
    return frozenset(_PREFIX + each for each in labels)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
