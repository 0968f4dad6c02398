# SPDX-License-Identifier: Apache-2.0
"""The tests that a document makes of itself. A document that fails one is refused."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple, TypeAlias

from krait.policy.evaluate import Decision, Segment, decide_all
from krait.policy.explain import describe, every_open, why
from krait.policy.intervals import direction, touching
from krait.policy.model import Action, Document, Labels, PolicyTest, PortSpan, Rule
from krait.policy.owners import Owner, by_tunnel, principals, senders
from krait.policy.pairing import Concern

_PAIR = 2
_RULES_A_VERDICT = 50
"""So many rules can be asked for their ports in the time that one verdict takes, or more."""

Terms: TypeAlias = tuple[Labels, ...]
"""What a selector means, however it is written."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A test that does not hold, with the first pair that breaks it."""

    test: PolicyTest
    source: str | None  # None, as the other two: no pair matches at all
    destination: str | None
    decision: Decision | None
    message: str  # with the document's name and the test's place


def run(document: Document) -> tuple[Failure, ...]:
    """Every test that fails, in the order of the file.

    A test holds if each ordered pair of principals that it matches is judged as expected, for each
    port it names; without a port, `allow` means every protocol and `deny` means none. Two on one
    node, or behind it, are no pair: what they say to each other never passes the tunnel. Behind it
    is also who has no key and is `via` that node.
    """
    if not document.policy.tests:
        return ()
    court = _Court(document)
    failures = (_run(test, document, court) for test in document.policy.tests)
    return tuple(failure for failure in failures if failure is not None)


def untested_denies(document: Document) -> tuple[Rule, ...]:
    """The rules that deny nothing that a test expects to be denied, in the order of the file.

    A rule denies an open if it is the deciding one. Audit rules deny nothing, and are left out.
    """
    denies = tuple(rule for rule in document.policy.rules if not rule.allows and not rule.audit)
    left = {rule.number for rule in denies}
    # Among denies, allows change nothing, and without them fewer sets of rules are apart.
    court = _Court(replace(document, policy=replace(document.policy, rules=denies)))
    for test in document.policy.tests:
        for rules in court.meetings(test) if left and not test.allows else ():
            concerned = court.chosen(rules)
            if any(rule.number in left for rule in concerned):
                decided = direction(concerned, default=Action.DENY).intervals
                left -= {each.rule for each in touching(decided, test.ports)}
    return tuple(rule for rule in denies if rule.number in left)


def _run(test: PolicyTest, document: Document, court: "_Court") -> Failure | None:
    place = f"{document.source}:{test.mark.line}:{test.mark.column}"
    if not court.meetings(test):
        pair = f"from {test.sources.text} to {test.destinations.text}"
        message = f"{place}: no pair of principals is {pair}{court.why_none(test)}"
        return Failure(test, None, None, None, message)
    for source, destination in court.wrong_pairs(test):
        wrong = court.disagreement(test, source, destination)
        asked = test.port_text or describe(wrong)
        expected = "allowed" if test.allows else "denied"
        return Failure(
            test,
            source.name,
            destination.name,
            wrong.decision,
            f"{place}: {source.name} to {destination.name}, {asked}: "
            f"expected {expected}, but {why(wrong.decision)} it",
        )
    return None


class _Group(NamedTuple):
    """Those of one identity that a selector means, on one side of a test."""

    identity: Labels | None
    concern: int  # a bit for each rule that concerns it
    members: list[Owner]  # the first, and the first on another node

    @property
    def node(self) -> str | None:
        """Where they all are; None if they are on several."""
        return self.members[0].node if len(self.members) == 1 else None


_Identities: TypeAlias = tuple[Labels | None, Labels | None]


class _Court:
    """Everybody a test can mean, and what is worked out once for all tests.

    Pairs that the same rules concern are judged alike, so that a test goes through sets of rules:
    there may be as many pairs as nodes, squared.
    """

    def __init__(self, document: Document) -> None:
        self._policy = document.policy
        self._every_open = every_open(document.policy)
        self._everyone = _representatives(document)  # none of them has identity 0
        self._senders = range(len(senders(self._everyone)))  # groups are the last
        self._holders: dict[str, list[int]] = defaultdict(list)  # places in `everyone`
        for place, owner in enumerate(self._everyone):
            for name in owner.names:
                self._holders[name].append(place)
        columns = tuple(dict.fromkeys(owner.identity for owner in self._everyone))
        self._column = {identity: i for i, identity in enumerate(columns)}
        self._concern = Concern(document.policy, columns)
        self._members = cache(self._by_identity)
        self._between = cache(self._meetings)
        self._about = cache(self._covering)
        rules = document.policy.rules
        self._allows = _bits(rule.allows for rule in rules)
        self._whole = _bits(not rule.ports for rule in rules)
        self._verdicts: dict[tuple[int, tuple[PortSpan, ...]], set[bool]] = {}

    def meetings(self, test: PolicyTest) -> Mapping[int, _Identities]:
        """Every set of rules that concerns a pair of the test, and such a pair."""
        return self._between(test.sources.terms, test.destinations.terms)

    def why_none(self, test: PolicyTest) -> str:
        """Of a test that means no pair, why not, where it means two that are on one node."""
        sides = self._sides(test.sources.terms, test.destinations.terms)
        meant = {owner for side in sides for group in side for owner in group.members}
        if not all(sides) or len(meant) == 1:
            return ""
        where = f"all are on {meant.pop().node} or behind it"
        return f"; {where}, so nothing they say passes the tunnel: take the test out"

    def chosen(self, rules: int) -> Sequence[Rule]:
        """The rules of such a set, in the order of the file."""
        return self._concern.chosen(rules)

    def wrong_pairs(self, test: PolicyTest) -> Iterator[tuple[Owner, Owner]]:
        """Of each pair of identities that the rules judge otherwise, the first principals."""
        meetings, about = self.meetings(test), self._relevant(test)
        questions = {rules & about: identities for rules, identities in meetings.items()}
        if all(self._agrees(test, *each) for each in questions.items()):
            return
        sources, destinations = self._sides(test.sources.terms, test.destinations.terms)
        for some in sources:
            for others in destinations:
                pair = _distinct(some.members, others.members)
                rules = some.concern & others.concern & about
                if pair and not self._agrees(test, rules, questions[rules]):
                    yield pair

    def disagreement(self, test: PolicyTest, source: Owner, destination: Owner) -> Segment:
        """The first ports about which the rules say something else than the test."""
        spans = test.ports or self._every_open
        segments = decide_all(self._policy, source.identity, destination.identity, spans)
        return next(each for each in segments if each.decision.allows != test.allows)

    def _agrees(self, test: PolicyTest, rules: int, identities: _Identities) -> bool:
        settled = self._settled(rules)
        if settled is not None:
            return settled == test.allows
        question = rules, test.ports or self._every_open
        if question not in self._verdicts:
            policy = replace(self._policy, rules=tuple(self.chosen(rules)))
            segments = decide_all(policy, *identities, question[1])
            self._verdicts[question] = {each.decision.allows for each in segments}
        return self._verdicts[question] == {test.allows}

    def _settled(self, rules: int) -> bool | None:
        """What these rules say of every port, where one need not look at ports to know it."""
        allows, denies = rules & self._allows, rules & ~self._allows
        default = self._policy.default.allows
        if denies & self._whole or not (allows or default):
            return False
        if not denies and (allows & self._whole or default):
            return True
        return None

    def _relevant(self, test: PolicyTest) -> int:
        """The rules that say something of a test's ports; all, where to find out takes longer."""
        verdicts = len(self.meetings(test))
        if not test.ports or len(self._policy.rules) > verdicts * _RULES_A_VERDICT:
            return -1
        return self._about(test.ports)

    def _covering(self, spans: tuple[PortSpan, ...]) -> int:
        """A bit for each rule that says something of these ports."""
        return _bits(_covers(rule, spans) for rule in self._policy.rules)

    def _meetings(self, sources: Terms, destinations: Terms) -> Mapping[int, _Identities]:
        some, others = map(_alike, self._sides(sources, destinations))
        return {
            low.concern & high.concern: (low.identity, high.identity)
            for low, here in some
            for high, there in others
            if here is None or here != there
        }

    def _sides(self, sources: Terms, destinations: Terms) -> tuple[list[_Group], list[_Group]]:
        return (
            self._groups(self._members(sources, self._senders), self._concern.sources),
            self._groups(
                self._members(destinations, range(len(self._everyone))), self._concern.destinations
            ),
        )

    def _groups(
        self, members: Mapping[Labels | None, list[Owner]], concern: list[int]
    ) -> list[_Group]:
        return [_Group(each, concern[self._column[each]], members[each]) for each in members]

    def _by_identity(self, terms: Terms, among: range) -> dict[Labels | None, list[Owner]]:
        """Those it means: of each identity the first, and the first on another node."""
        groups: dict[Labels | None, list[Owner]] = {}
        for place in self._selected(terms, among):
            owner = self._everyone[place]
            group = groups.setdefault(owner.identity, [])
            if not group or (len(group) == 1 and group[0].node != owner.node):
                group.append(owner)
        return groups

    def _selected(self, terms: Terms, among: range) -> Sequence[int]:
        members = (
            set(among).intersection(*(self._holders.get(name, ()) for name in term))
            for term in terms
        )
        return sorted(set[int]().union(*members))


def _representatives(document: Document) -> tuple[Owner, ...]:
    """Those of whom a test may name the first pair, in the order of the file.

    Nodes with the same tags that nobody calls by name are alike: the first will do, and the first
    that is not on its side of the tunnel.
    """
    policy = document.policy
    sides = [(rule.sources, rule.destinations) for rule in policy.rules]
    sides += [(test.sources, test.destinations) for test in policy.tests]
    called = {name for pair in sides for each in pair for term in each.terms for name in term}
    alike: dict[Labels, set[str]] = defaultdict(set)
    nodes = []
    for node in document.nodes:
        if node.routes or node.name in called:
            nodes.append(node)
        elif len(alike[node.tags]) < _PAIR and by_tunnel(node) not in alike[node.tags]:
            alike[node.tags].add(by_tunnel(node))
            nodes.append(node)
    return principals(replace(document, nodes=tuple(nodes)))


def _alike(groups: list[_Group]) -> list[tuple[_Group, str | None]]:
    """One group of all that the same rules concern, and where they all are, as `_Group.node`."""
    found: dict[int, tuple[_Group, str | None]] = {}
    for each in groups:
        first, node = found.setdefault(each.concern, (each, each.node))
        if node != each.node:
            found[each.concern] = first, None
    return list(found.values())


def _bits(flags: Iterable[bool]) -> int:
    """A bit for each flag, the first the lowest; by text, as `Concern.chosen` reads it."""
    return int("".join("01"[flag] for flag in flags)[::-1] or "0", 2)


def _covers(rule: Rule, spans: tuple[PortSpan, ...]) -> bool:
    return not rule.ports or any(
        each.protocol == span.protocol and each.low <= span.high and span.low <= each.high
        for each in rule.ports
        for span in spans
    )


def _distinct(some: list[Owner], others: list[Owner]) -> tuple[Owner, Owner] | None:
    """The first pair of two on different nodes."""
    return next(((a, b) for a in some for b in others if a.node != b.node), None)
