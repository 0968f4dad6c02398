# SPDX-License-Identifier: Apache-2.0
"""Rules that can never decide: what a document says in vain, and by which rules it is covered.

It is worked out for classes of identities that the same selectors mean, and for each of their
pairs only until every rule there is known to decide somewhere: of most rules the first will do.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from krait.policy.intervals import Interval, direction, touching
from krait.policy.model import Action, Document, Labels, PortSpan, Rule, Selector
from krait.policy.owners import Owner, principals, senders

Terms: TypeAlias = tuple[Labels, ...]
"""What a selector means, however it is written."""


_SHOWN = 3


class Why(StrEnum):
    """Why a rule never decides."""

    NOBODY = "nobody"  # no two on different nodes are one that it is from and one that it is to
    SHADOWED = "shadowed"  # an allow; a deny decides in its stead, alone or with earlier allows
    REPEATED = "repeated"  # stronger rules of the same action decide all that it speaks of


@dataclass(frozen=True, slots=True)
class Idle:
    """A rule that decides no open, and why."""

    rule: Rule
    why: Why
    covering: tuple[Rule, ...]  # those that decide what it speaks of, as in the file; or nobody

    @property
    def coverers(self) -> str:
        """The first of them in words, each with its line; nothing where there is nobody."""
        said = [f'"{rule.name}" in line {rule.mark.line}' for rule in self.covering]
        if len(said) > _SHOWN:
            said[_SHOWN:] = [f"{len(said) - _SHOWN:,} more"]
        return " and ".join(filter(None, (", ".join(said[:-1]), *said[-1:])))


@dataclass(frozen=True, slots=True)
class Survey:
    """What each rule of a document is there for; audit rules never decide, and are left out."""

    idle: tuple[Idle, ...]  # in the order of the file
    decided: Mapping[int, PortSpan | None]
    """By the number of each other rule: ports at which it decides, between some two that it speaks
    of; None where it has no ports.
    """


def survey(document: Document) -> Survey:
    """Which rules decide an open, and which cannot be the deciding one of any.

    An open is of any protocol and port, from one node or tagged subnet to another that is neither
    on the same node nor behind it, which never passes the tunnel, or to a multicast group.
    """
    search = _Search(document)
    search.run()
    rules = document.policy.rules
    idle = tuple(
        _idle(rules[number - 1], [rules[each - 1] for each in sorted(search.covering[number])])
        for number in sorted(search.undecided)
    )
    return Survey(idle, search.decided)


def idle_rules(document: Document) -> tuple[Idle, ...]:
    """Every rule that is the deciding one of no open there can be, in the order of the file."""
    return survey(document).idle


def _idle(rule: Rule, covering: Sequence[Rule]) -> Idle:
    if not covering:
        return Idle(rule, Why.NOBODY, ())
    same = all(each.allows == rule.allows for each in covering)
    return Idle(rule, Why.REPEATED if same else Why.SHADOWED, tuple(covering))


class _Class(NamedTuple):
    """Identities that the same selectors of a side mean."""

    selectors: tuple[int, ...]  # ascending
    node: str | None  # where all who have them are; None if they are on several nodes


class _Side:
    """The sources of all rules, or their destinations."""

    def __init__(self, selectors: Iterable[Selector], everyone: Iterable[Owner]) -> None:
        """`everyone` has an identity."""
        numbers: dict[Terms, int] = {}
        self.selector = [numbers.setdefault(each.terms, len(numbers)) for each in selectors]
        """The number of each rule's selector; those that mean the same share one."""
        nodes = _nodes(everyone)
        meant: dict[Labels, list[int]] = {identity: [] for identity in nodes}
        holders = _holders(nodes)
        for terms, number in numbers.items():
            found = (
                nodes.keys() & set.intersection(*(holders[label] for label in term))
                if term
                else nodes.keys()
                for term in terms
            )
            for identity in set().union(*found):
                meant[identity].append(number)
        where: dict[tuple[int, ...], set[str]] = defaultdict(set)
        for identity, some in meant.items():
            where[tuple(some)] |= nodes[identity]
        self.classes = [
            _Class(some, next(iter(names)) if len(names) == 1 else None)
            for some, names in where.items()
        ]
        self.members: list[list[int]] = [[] for _ in numbers]
        """By selector: the classes that it means."""
        for place, each in enumerate(self.classes):
            for number in each.selectors:
                self.members[number].append(place)


class _Search:
    """Goes through pairs of classes and strikes out what decides."""

    def __init__(self, document: Document) -> None:
        rules = document.policy.rules
        everyone = principals(document)
        self.undecided = {rule.number for rule in rules if not rule.audit}
        self.covering: dict[int, set[int]] = defaultdict(set)
        self.decided: dict[int, PortSpan | None] = {}
        self._sources = _Side((rule.sources for rule in rules), senders(everyone))
        self._destinations = _Side((rule.destinations for rule in rules), everyone)
        self._from: dict[int, list[Rule]] = defaultdict(list)  # by the selector of sources
        for rule, selector in zip(rules, self._sources.selector, strict=True):
            if not rule.audit:
                self._from[selector].append(rule)

    def run(self) -> None:
        for source in self._sources.classes:
            rules = [rule for number in source.selectors for rule in self._from[number]]
            if any(rule.number in self.undecided for rule in rules):
                self._look_from(source.node, sorted(rules, key=attrgetter("strength")))

    def _look_from(self, node: str | None, rules: Sequence[Rule]) -> None:
        """All pairs of one class that opens; its rules by their strength."""
        undecided = _bits(i for i, rule in enumerate(rules) if rule.number in self.undecided)
        whole = _bits(i for i, rule in enumerate(rules) if not rule.ports and _stays(rule))
        seen: set[tuple[int, int]] = set()
        for place, concerned in self._towards(rules):
            asked = concerned & undecided
            if not asked or (node and node == self._destinations.classes[place].node):
                continue
            # What is weaker than all that is asked for, or than a rule without ports, is no matter.
            counts = concerned & ((1 << asked.bit_length()) - 1)
            if everything := counts & whole:
                counts &= ((everything & -everything) << 1) - 1
            if (counts, asked) not in seen:
                seen.add((counts, asked))
                undecided &= ~self._judge(rules, counts, asked)

    def _towards(self, rules: Sequence[Rule]) -> Iterator[tuple[int, int]]:
        """Each class of destinations, and a bit for each of the rules that concern it."""
        places: dict[int, list[int]] = defaultdict(list)
        for i, rule in enumerate(rules):
            places[self._destinations.selector[rule.number - 1]].append(i)
        concerned = [0] * len(self._destinations.classes)
        for selector, some in places.items():
            bits = _bits(some)
            for place in self._destinations.members[selector]:
                concerned[place] |= bits
        return enumerate(concerned)

    def _judge(self, rules: Sequence[Rule], counts: int, asked: int) -> int:
        """Which of those asked for decide, when these count; for the others, note who does."""
        some = [rules[i] for i in _set_bits(counts)]
        intervals = direction(some, default=Action.DENY).intervals
        first = {each.rule: each for each in reversed(intervals)}
        if not all(map(_stays, some)):  # what they deny, others will decide
            later = direction(list(filter(_stays, some)), default=Action.DENY).intervals
            first |= {each.rule: each for each in reversed(later) if each.rule not in first}
        found = []
        for i in _set_bits(asked):
            rule = rules[i]
            if decided := first.get(rule.number):
                self.undecided.discard(rule.number)
                self.decided[rule.number] = _ports(decided, rule)
                found.append(i)
            else:
                self.covering[rule.number].update(
                    each.rule for each in touching(intervals, rule.ports)
                )
        return _bits(found)


def _ports(decided: Interval, rule: Rule) -> PortSpan | None:
    """The beginning of what it decides, within one of the spans that are written there."""
    protocol, low = divmod(decided.low, 1 << 16)
    for span in rule.ports:
        if span.holds(protocol, low):
            return PortSpan(protocol, low, min(span.high, low + decided.high - decided.low))
    return None


def _nodes(everyone: Iterable[Owner]) -> dict[Labels, set[str]]:
    """Each identity, and on or behind which nodes it is."""
    found: dict[Labels, set[str]] = defaultdict(set)
    for owner in everyone:
        if owner.identity is not None:
            found[owner.identity].add(owner.node)
    return found


def _holders(identities: Iterable[Labels]) -> dict[str, set[Labels]]:
    """Each label, and the identities that hold it."""
    found: dict[str, set[Labels]] = defaultdict(set)
    for identity in identities:
        for label in identity:
            found[label].add(identity)
    return found


def _stays(rule: Rule) -> bool:
    """Not of a deny that ends: what it covers decides after it. An allow is covered by what lasts
    longer.
    """
    return rule.until is None or rule.allows


def _bits(places: Iterable[int]) -> int:
    """A number with these bits; by bytes, for each operation on a large number takes all of it."""
    some = list(places)
    packed = bytearray(max(some, default=0) // 8 + 1)
    for place in some:
        packed[place >> 3] |= 1 << (place & 7)
    return int.from_bytes(packed, "little")


def _set_bits(bits: int) -> Iterator[int]:
    """The places of the bits that are set, in order; by text, as `Concern.chosen` reads it."""
    flags = f"{bits:b}"[::-1]
    at = flags.find("1")
    while at >= 0:
        yield at
        at = flags.find("1", at + 1)
