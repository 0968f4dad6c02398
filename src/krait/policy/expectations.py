# SPDX-License-Identifier: Apache-2.0
"""The tests that a document makes of itself. A document that fails one is refused."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from krait.policy.evaluate import Decision, Segment, decide_all
from krait.policy.explain import EVERY_OPEN, describe, why
from krait.policy.model import Document, Labels, PolicyTest, PortSpan, Selector
from krait.policy.owners import Owner, principals
from krait.policy.pairing import Concern

_PAIR = 2


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
    node, or behind it, are no pair: what they say to each other never passes the tunnel.
    """
    if not document.policy.tests:
        return ()
    court = _Court(document)
    failures = (_run(test, document, court) for test in document.policy.tests)
    return tuple(failure for failure in failures if failure is not None)


def _run(test: PolicyTest, document: Document, court: "_Court") -> Failure | None:
    place = f"{document.source}:{test.mark.line}:{test.mark.column}"
    some = False
    for source, destination in court.pairs(test):
        some = True
        wrong = court.disagreement(test, source, destination)
        if wrong is not None:
            asked = test.port_text or describe(wrong)
            expected = "allowed" if test.allow else "denied"
            return Failure(
                test,
                source.name,
                destination.name,
                wrong.decision,
                f"{place}: {source.name} to {destination.name}, {asked}: "
                f"expected {expected}, but {why(wrong.decision)} it",
            )
    if some:
        return None
    pair = f"from {test.sources.text} to {test.destinations.text}"
    return Failure(test, None, None, None, f"{place}: no pair of principals is {pair}")


class _Court:
    """Everybody a test can mean, and what is worked out once for all tests.

    Pairs of identities that the same rules concern are judged alike.
    """

    def __init__(self, document: Document) -> None:
        self._policy = document.policy
        self._everyone = _representatives(document)
        self._holders: dict[str, list[int]] = defaultdict(list)  # places in `everyone`
        for place, owner in enumerate(self._everyone):
            for name in owner.names:
                self._holders[name].append(place)
        columns = tuple(dict.fromkeys(owner.identity for owner in self._everyone))
        self._column = {identity: i for i, identity in enumerate(columns)}
        self._concern = Concern(document.policy, columns)
        self._members = cache(self._by_identity)
        self._verdicts: dict[tuple[int, tuple[PortSpan, ...]], set[bool]] = {}

    def pairs(self, test: PolicyTest) -> Iterator[tuple[Owner, Owner]]:
        """One pair for each pair of identities, as principals of one identity are judged alike."""
        sources, destinations = map(self._members, (test.sources, test.destinations))
        for some in sources.values():
            for others in destinations.values():
                pair = _distinct(some, others)
                if pair is not None:
                    yield pair

    def disagreement(self, test: PolicyTest, source: Owner, destination: Owner) -> Segment | None:
        """The first ports about which the rules say something else than the test."""
        if self._agrees(test, source, destination):
            return None
        spans = test.ports or EVERY_OPEN
        segments = decide_all(self._policy, source.identity, destination.identity, spans)
        return next((each for each in segments if each.decision.allow != test.allow), None)

    def _agrees(self, test: PolicyTest, source: Owner, destination: Owner) -> bool:
        if source.identity is None or destination.identity is None:
            return not test.allow
        concerned = (
            self._concern.sources[self._column[source.identity]]
            & self._concern.destinations[self._column[destination.identity]]
        )
        question = concerned, test.ports or EVERY_OPEN
        if question not in self._verdicts:
            policy = replace(self._policy, rules=tuple(self._concern.chosen(concerned)))
            segments = decide_all(policy, source.identity, destination.identity, question[1])
            self._verdicts[question] = {each.decision.allow for each in segments}
        return self._verdicts[question] == {test.allow}

    def _by_identity(self, selector: Selector) -> dict[Labels | None, list[Owner]]:
        """Those it means: of each identity the first, and the first on another node."""
        groups: dict[Labels | None, list[Owner]] = {}
        for place in self._selected(selector):
            owner = self._everyone[place]
            group = groups.setdefault(owner.identity, [])
            if not group or (len(group) == 1 and group[0].node != owner.node):
                group.append(owner)
        return groups

    def _selected(self, selector: Selector) -> Sequence[int]:
        everyone = range(len(self._everyone))
        members = (
            set(everyone).intersection(*(self._holders.get(name, ()) for name in term))
            for term in selector.terms
        )
        return sorted(set[int]().union(*members))


def _representatives(document: Document) -> tuple[Owner, ...]:
    """Those of whom a test may name the first pair, in the order of the file.

    Nodes with the same tags that nobody calls by name are alike: the first two will do.
    """
    policy = document.policy
    sides = [(rule.sources, rule.destinations) for rule in policy.rules]
    sides += [(test.sources, test.destinations) for test in policy.tests]
    called = {name for pair in sides for each in pair for term in each.terms for name in term}
    alike: Counter[Labels] = Counter()
    nodes = []
    for node in document.nodes:
        if node.routes or node.name in called:
            nodes.append(node)
        elif alike[node.tags] < _PAIR:
            alike[node.tags] += 1
            nodes.append(node)
    return principals(replace(document, nodes=tuple(nodes)))


def _distinct(some: list[Owner], others: list[Owner]) -> tuple[Owner, Owner] | None:
    """The first pair of two on different nodes."""
    return next(((a, b) for a in some for b in others if a.node != b.node), None)
