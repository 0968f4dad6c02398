# SPDX-License-Identifier: Apache-2.0
"""What is allowed in a document but seldom meant: `check` says so and passes it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from math import inf

from krait.policy import device_advice, lifetime
from krait.policy.model import EVERYTHING_BITS, Document, Labels, Mark, Selector
from krait.policy.owners import Owner, principals, senders


@dataclass(frozen=True, slots=True, order=True)
class Advice:
    """One remark; line and column from 1. `id` is what it is about, one of IDS."""

    line: int
    column: int
    message: str
    id: str


def advise(document: Document, now_s: float = -inf) -> tuple[Advice, ...]:
    """Every remark, in the order of the file; `now_s` is the wall clock, for rules that end."""
    own = (
        (what, mark, message) for what, about in _ABOUT.items() for mark, message in about(document)
    )
    return tuple(
        sorted(
            Advice(mark.line, mark.column, message, what)
            for what, mark, message in (
                *own,
                *_ended(document, now_s),
                *device_advice.remarks(document),
            )
        )
    )


def _ended(document: Document, now_s: float) -> Iterator[tuple[str, Mark, str]]:
    for rule in document.policy.rules:
        if rule.until is not None and rule.has_ended(now_s):
            what = f'rule "{rule.name}" ended at {lifetime.written(rule.until)}: take it out'
            yield _ENDED, rule.mark, what


def _unnamed(document: Document) -> Iterator[tuple[Mark, str]]:
    named = _selected(document)
    for each in document.named:
        if not each.tags and each.name not in named:
            yield each.mark, f"{each.name} has no tags, and no rule names it"


def _lost(document: Document) -> Iterator[tuple[Mark, str]]:
    for node in document.nodes:
        if node.via and not node.addresses:
            yield node.mark, f"{node.name} has a via but no address, so only {node.via} finds it"


def _untagged(document: Document) -> Iterator[tuple[Mark, str]]:
    for node in document.nodes:
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
    for group in document.multicast:
        for tag in group.tags:
            first.setdefault(tag, group.mark)
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
    everyone = principals(document)
    from_, to = _places(senders(everyone)), _places(everyone)
    for rule in document.policy.rules:
        sources, destinations = from_(rule.sources), to(rule.destinations)
        alone = len(sources) == 1 and sources == destinations
        if alone or not sources or not destinations:
            yield rule.mark, f'rule "{rule.name}" matches no two nodes or tagged subnets'


def _places(everyone: tuple[Owner, ...]) -> Callable[[Selector], Labels]:
    """The nodes that are, or have behind them, whom a selector means; worked out once for each.

    Two on one node are not told apart: what they say to each other never passes the tunnel.
    """
    holders: dict[str, set[Owner]] = {}
    for owner in everyone:
        for name in owner.names:
            holders.setdefault(name, set()).add(owner)

    @cache
    def places(selector: Selector) -> Labels:
        found = (
            set.intersection(*(holders.get(name, set()) for name in term)) if term else everyone
            for term in selector.terms
        )
        return frozenset(owner.node for some in found for owner in some)

    return places


def _selected(document: Document) -> Labels:
    """Every name that a rule or a test holds."""
    policy = document.policy
    sides = [(rule.sources, rule.destinations) for rule in policy.rules]
    sides += [(test.sources, test.destinations) for test in policy.tests]
    return frozenset(
        name for pair in sides for selector in pair for term in selector.terms for name in term
    )


_ENDED = "ended"

_ABOUT: Mapping[str, Callable[[Document], Iterator[tuple[Mark, str]]]] = {
    "unnamed-node": _unnamed,
    "lost-node": _lost,
    "untagged-subnet": _untagged,
    "unused-tag": _tags,
    "unused-group": _groups,
    "nested-routes": _overlaps,
    "matches-nobody": _rules,
}

IDS = frozenset(_ABOUT) | device_advice.IDS | {_ENDED}
"""By what a remark may be excused; they stay as they are."""
