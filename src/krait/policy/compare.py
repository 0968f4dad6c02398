# SPDX-License-Identifier: Apache-2.0
"""What one document in another's place would change: who may open what to whom, and how flows pass.

Pairs that the same rules concern are worked out once, and only those are looked at of which a rule
or somebody's identity changed: a mesh of 10,000 nodes is compared in a second.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import NamedTuple, TypeAlias

from krait.common.abi import PairClass
from krait.policy.alike import Alike, Columns, Concerned, Group, alike, groups
from krait.policy.explain import every_open
from krait.policy.intervals import Direction, direction
from krait.policy.model import Document, PortSpan, Rule
from krait.policy.pairing import class_of
from krait.policy.rectangles import rectangles, unordered
from krait.policy.settings import Settings, settings

_ABSENT = -1  # in the place of a rule's number; 0 is the default


class Without(StrEnum):
    """What decides where no rule does."""

    DEFAULT = "default"
    ABSENT = "absent"
    """One of the two has no identity: it is not in the document, or is a subnet without tags."""


Cause: TypeAlias = Rule | Without


@dataclass(frozen=True, slots=True)
class Row:
    """What each of `sources` may open to each of `destinations` and could not, or the reverse."""

    opens: bool
    sources: tuple[Group, ...]
    destinations: tuple[Group, ...]
    spans: tuple[PortSpan, ...]  # in order, as `explain.every_open` has them
    before: tuple[Cause, ...]  # what decided, of some pairs or ports this and of others that
    now: Cause


@dataclass(frozen=True, slots=True)
class ClassChange:
    """Pairs whose packets are judged in another way: each of `some` with each of `others`."""

    before: PairClass
    now: PairClass
    some: tuple[Group, ...]
    others: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that is different for somebody's packets."""

    settings: Settings
    everyone: tuple[Group, ...]
    opens: tuple[PortSpan, ...]  # all that can be opened, whether or not anything changes
    rows: tuple[Row, ...]  # those that open first, each in the order of the rules
    classes: tuple[ClassChange, ...]  # of pairs that were there before
    opening: int = 0  # ordered pairs of groups between which something opens
    closing: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes for anybody."""
        return not (self.rows or self.classes or self.settings.differ)


def compare(before: Document, now: Document) -> Comparison:
    """Hold a document against the one that it would follow."""
    everyone = groups(before, now)
    # The last stands for every protocol that no rule names, of either document.
    opens = tuple(dict.fromkeys((*every_open(before.policy)[:-1], *every_open(now.policy))))
    old = _Side(before, Columns(before, (group.before for group in everyone)), opens)
    new = _Side(now, Columns(now, (group.now for group in everyone)), opens)
    comparing = _Comparing(old, new, alike(everyone, old.columns, new.columns))
    comparing.run()
    return Comparison(
        settings=settings(before, now),
        everyone=everyone,
        opens=opens,
        rows=tuple(sorted(comparing.rows(), key=_order)),
        classes=tuple(comparing.classes()),
        opening=comparing.counts[True],
        closing=comparing.counts[False],
    )


class _Stretch(NamedTuple):
    """Tuples of one decision, both ends inclusive, in the space of `intervals`."""

    low: int
    high: int
    allows: bool
    rule: int


class _Part(NamedTuple):
    """What is told in one row: all that opens, or closes, for one cause."""

    opens: bool
    now: int
    spans: tuple[PortSpan, ...]


class _Side:
    """One of the two documents."""

    def __init__(self, document: Document, columns: Columns, opens: Sequence[PortSpan]) -> None:
        """`opens` is all that can be opened, in order."""
        self.policy = document.policy
        self.columns = columns
        self._opens = [(s.protocol << 16 | s.low, s.protocol << 16 | s.high) for s in opens]
        self._towards = cache(self._direction)
        self.stretches = cache(self._stretches)

    def cause(self, number: int) -> Cause:
        if number == _ABSENT:
            return Without.ABSENT
        return self.policy.rules[number - 1] if number else Without.DEFAULT

    def pair_class(self, one: Concerned | None, other: Concerned | None) -> PairClass:
        """As `Pairing` has it, but STATEFUL for ENDING; MISSING where one of the two is not."""
        up, down = _between(one, other), _between(other, one)
        if up is None or down is None:
            return PairClass.MISSING
        found = class_of((self._towards(up), self._towards(down)), self.policy)
        return PairClass.STATEFUL if found is PairClass.ENDING else found

    def apart(self, other: "_Side") -> int:
        """A bit for each rule that the other document does not enforce, by whatever name."""
        theirs = {_meaning(rule) for rule in other.policy.rules if not rule.audit}
        rules = enumerate(self.policy.rules)
        return sum(1 << bit for bit, rule in rules if _meaning(rule) not in theirs)

    def _direction(self, concerned: int) -> Direction:
        rules = self.columns.concern.chosen(concerned)
        return direction(rules, default=self.policy.default)

    def _stretches(self, concerned: int | None) -> tuple[_Stretch, ...]:
        """The decision for all that can be opened, in order and without a gap."""
        if concerned is None:
            return tuple(_Stretch(*ends, allows=False, rule=_ABSENT) for ends in self._opens)
        return tuple(self._filled(concerned))

    def _filled(self, concerned: int) -> Iterator[_Stretch]:
        intervals = self._towards(concerned).intervals
        for low, high in self._opens:
            at = low
            for each in intervals:
                if each.high >= at and each.low <= high:
                    if each.low > at:
                        yield _Stretch(at, each.low - 1, allows=False, rule=0)
                    end = min(each.high, high)
                    yield _Stretch(max(each.low, at), end, each.allows, each.rule)
                    at = end + 1
            if at <= high:
                yield _Stretch(at, high, allows=False, rule=0)


class _Comparing:
    """Goes through the pairs of those that are alike, and gathers what is told of them."""

    def __init__(self, old: _Side, new: _Side, everyone: tuple[Alike, ...]) -> None:
        self.counts: Counter[bool] = Counter()
        self._old, self._new, self._everyone = old, new, everyone
        self._pairs: dict[_Part, dict[tuple[int, int], frozenset[int]]] = defaultdict(dict)
        self._classes: dict[tuple[PairClass, PairClass], list[tuple[int, int]]] = defaultdict(list)
        self._parts = cache(self._differing)

    def run(self) -> None:
        everyone = self._everyone
        for low, high in sorted(self._candidates()):
            for a, b in dict.fromkeys(((low, high), (high, low))):
                self._open(a, b)
            one, other = everyone[low], everyone[high]
            if one.meetings(other):
                change = (
                    self._old.pair_class(one.before, other.before),
                    self._new.pair_class(one.now, other.now),
                )
                if change[0] != change[1] and PairClass.MISSING not in change:
                    self._classes[change].append((low, high))

    def rows(self) -> Iterator[Row]:
        for part, pairs in self._pairs.items():
            for whole in rectangles(pairs):
                sources, destinations = self._meeting(*whole), self._meeting(*whole[::-1])
                if sources:
                    inside = (pairs[a, b] for a in sources for b in destinations)
                    yield Row(
                        opens=part.opens,
                        sources=self._groups(sources),
                        destinations=self._groups(destinations),
                        spans=part.spans,
                        before=tuple(map(self._old.cause, sorted(frozenset[int]().union(*inside)))),
                        now=self._new.cause(part.now),
                    )

    def classes(self) -> Iterator[ClassChange]:
        for change, pairs in sorted(self._classes.items()):
            for some, others in unordered(pairs):
                yield ClassChange(*change, self._groups(some), self._groups(others))

    def _candidates(self) -> set[tuple[int, int]]:
        """The unordered pairs for which anything can be different: a few, of a few edits."""
        everyone, old, new = self._everyone, self._old, self._new
        places = range(len(everyone))
        if old.policy.default.allows != new.policy.default.allows:
            return {(a, b) for b in places for a in range(b + 1)}
        own = old.apart(new), new.apart(old)
        senders, receivers = (
            [i for i in places if _is_concerned(everyone[i], own, end)] for end in (0, 1)
        )
        pairs = {(a, b) for a in senders for b in receivers}
        pairs |= {(a, b) for a in places if everyone[a].is_moved for b in places}
        return {(min(pair), max(pair)) for pair in pairs}

    def _open(self, a: int, b: int) -> None:
        """What opens and closes from a to b; of two on one node it is worked out, not counted."""
        source, destination = self._everyone[a], self._everyone[b]
        if not source.sends:
            return
        parts = self._parts(
            _between(source.before, destination.before), _between(source.now, destination.now)
        )
        for part, before in parts:
            self._pairs[part][a, b] = before
        for opens in {part.opens for part, _ in parts}:
            self.counts[opens] += source.meetings(destination)

    def _differing(
        self, before: int | None, now: int | None
    ) -> tuple[tuple[_Part, frozenset[int]], ...]:
        found: dict[tuple[bool, int], list[PortSpan]] = defaultdict(list)
        causes: dict[tuple[bool, int], set[int]] = defaultdict(set)
        were, are = self._old.stretches(before), self._new.stretches(now)
        i = j = 0
        while i < len(were):
            was, it_is = were[i], are[j]
            low, high = max(was.low, it_is.low), min(was.high, it_is.high)
            if was.allows != it_is.allows:
                key = it_is.allows, it_is.rule
                _extend(found[key], PortSpan(low >> 16, low & 0xFFFF, high & 0xFFFF))
                causes[key].add(was.rule)
            i, j = i + (was.high == high), j + (it_is.high == high)
        return tuple(
            (_Part(*key, tuple(spans)), frozenset(causes[key])) for key, spans in found.items()
        )

    def _meeting(self, some: Sequence[int], others: Sequence[int]) -> list[int]:
        """Those of some that meet any of the others at all: two on one node do not."""
        everyone = self._everyone
        return [a for a in some if any(everyone[a].meetings(everyone[b]) for b in others)]

    def _groups(self, places: Iterable[int]) -> tuple[Group, ...]:
        return tuple(group for place in places for group in self._everyone[place].groups)


def _between(source: Concerned | None, destination: Concerned | None) -> int | None:
    """The rules that concern opens from one to the other; None where one is not there."""
    return None if source is None or destination is None else source[0] & destination[1]


def _is_concerned(who: Alike, rules: tuple[int, int], end: int) -> bool:
    """Whether one of the rules, those of before or those of now, has them at that end."""
    sides = zip((who.before, who.now), rules, strict=True)
    return any(concerned is not None and concerned[end] & bits for concerned, bits in sides)


def _extend(spans: list[PortSpan], span: PortSpan) -> None:
    last = spans[-1] if spans else None
    if last and (last.protocol, last.high + 1) == (span.protocol, span.low):
        spans[-1] = PortSpan(span.protocol, last.low, span.high)
    else:
        spans.append(span)


def _meaning(rule: Rule) -> tuple[object, ...]:
    """What a rule enforces, and whether by flows; two that are alike in this are one."""
    sides = frozenset(rule.sources.terms), frozenset(rule.destinations.terms)
    return *sides, frozenset(rule.ports), rule.allows, rule.until is None


def _order(row: Row) -> tuple[bool, int, int]:
    first = row.now if row.opens else row.before[0]
    return not row.opens, first.number if isinstance(first, Rule) else 0, len(row.spans)
