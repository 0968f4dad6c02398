# SPDX-License-Identifier: Apache-2.0
"""What is allowed in a document but seldom meant: `check` says so and passes it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from krait.policy import device_advice
from krait.policy.model import EVERYTHING_BITS, Document, Labels, Mark, Selector
from krait.policy.owners import principals


@dataclass(frozen=True, slots=True, order=True)
class Advice:
    """One remark; line and column from 1."""

    line: int
    column: int
    message: str


def advise(document: Document) -> tuple[Advice, ...]:
    """Every remark, in the order of the file."""
    remarks = (
        (mark, message)
        for about in (_nodes, _tags, _overlaps, _groups, _rules, device_advice.remarks)
        for mark, message in about(document)
    )
    return tuple(sorted(Advice(mark.line, mark.column, message) for mark, message in remarks))


def _nodes(document: Document) -> Iterator[tuple[Mark, str]]:
    named = _selected(document)
    for node in document.nodes:
        if not node.tags and node.name not in named:
            yield node.mark, f"{node.name} has no tags, and no rule names it"
        if node.via and not node.addresses:
            yield node.mark, f"{node.name} has a via but no address, so only {node.via} finds it"
        for route in node.routes:
            if not route.tags:
                what = f"{route.cidr} has no tags: no rule reaches it, nothing passes"
                yield route.mark, f"{what}; write {{cidr: {route.cidr}, tags: [lan]}}"


def _tags(document: Document) -> Iterator[tuple[Mark, str]]:
    named = _selected(document)
    first: dict[str, Mark] = {}
    for node in document.nodes:
        for tag in node.tags:
            first.setdefault(tag, node.mark)
        for route in node.routes:
            for tag in route.tags:
                first.setdefault(tag, route.mark)
    for tag in first.keys() - named:
        yield first[tag], f'no rule or test names the tag "{tag}"'


@dataclass(frozen=True, slots=True)
class _Span:
    """The numbers, both inclusive, of a route's addresses or of one address (no mark)."""

    version: int
    low: int
    high: int
    node: str
    text: str
    mark: Mark | None = None

    def precedes(self, other: "_Span") -> bool:
        return (self.version, self.high) < (other.version, other.low)


def _overlaps(document: Document) -> Iterator[tuple[Mark, str]]:
    """Routes that hold what is another node's: one remark each, however much they hold.

    Prefixes nest or are apart, so in the order of their addresses, the longer after the shorter,
    the last that has not ended is the nearest around the next.
    """
    around: list[_Span] = []
    inside: dict[_Span, list[_Span]] = {}
    for span in sorted(_spans(document), key=lambda each: (each.version, each.low, -each.high)):
        while around and around[-1].precedes(span):
            around.pop()
        if around and around[-1].node != span.node:
            inside.setdefault(around[-1], []).append(span)
        if span.mark:
            around.append(span)
    for outer, (first, *others) in inside.items():
        if outer.mark:
            more = f" and {len(others):,} more" if others else ""
            held = f"{first.text} of {first.node}{more}"
            message = f"{outer.text} of {outer.node} holds {held}: the longest prefix decides"
            yield outer.mark, message


def _spans(document: Document) -> Iterator[_Span]:
    for node in document.nodes:
        for address in node.addresses:
            number = int(address)
            yield _Span(address.version, number, number, node.name, str(address))
        for route in node.routes:
            cidr = route.cidr
            if cidr.prefixlen > EVERYTHING_BITS:  # else it is meant to hold the others
                low, high = int(cidr.network_address), int(cidr.broadcast_address)
                yield _Span(cidr.version, low, high, node.name, str(cidr), route.mark)


def _groups(document: Document) -> Iterator[tuple[Mark, str]]:
    for group in document.policy.groups:
        if not group.used:
            yield group.mark, f'no rule or test names the group "@{group.name}"'


def _rules(document: Document) -> Iterator[tuple[Mark, str]]:
    members = _membership(document)
    for rule in document.policy.rules:
        sources, destinations = members(rule.sources), members(rule.destinations)
        alone = len(sources) == 1 and sources == destinations
        if alone or not sources or not destinations:
            yield rule.mark, f'rule "{rule.name}" matches no two nodes or tagged subnets'


def _membership(document: Document) -> Callable[[Selector], frozenset[str]]:
    """Which principals a selector means, each counted once for all rules that share it."""
    everyone = principals(document)
    everybody = {owner.name for owner in everyone}
    holders: dict[str, set[str]] = {}
    for owner in everyone:
        for name in owner.names:
            holders.setdefault(name, set()).add(owner.name)

    @cache
    def members(selector: Selector) -> frozenset[str]:
        found = (everybody.intersection(*(holders[n] for n in term)) for term in selector.terms)
        return frozenset().union(*found)

    return members


def _selected(document: Document) -> Labels:
    """Every name that a rule or a test holds."""
    policy = document.policy
    sides = [(rule.sources, rule.destinations) for rule in policy.rules]
    sides += [(test.sources, test.destinations) for test in policy.tests]
    return frozenset(
        name for pair in sides for selector in pair for term in selector.terms for name in term
    )
