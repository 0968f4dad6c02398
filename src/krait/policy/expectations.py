# SPDX-License-Identifier: Apache-2.0
"""The tests that a document makes of itself. A document that fails one is refused."""

from collections.abc import Iterator
from dataclasses import dataclass

from krait.policy.evaluate import Decision, Segment, decide_all
from krait.policy.explain import EVERY_OPEN, describe, why
from krait.policy.model import Document, Labels, Policy, PolicyTest, Selector
from krait.policy.owners import Owner, principals


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
    everyone = principals(document)
    return tuple(
        failure
        for test in document.policy.tests
        if (failure := _run(test, document, everyone)) is not None
    )


def _run(test: PolicyTest, document: Document, everyone: tuple[Owner, ...]) -> Failure | None:
    place = f"{document.source}:{test.mark.line}:{test.mark.column}"
    some = False
    for source, destination in _pairs(test, everyone):
        some = True
        wrong = _disagreement(test, document.policy, source, destination)
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


def _disagreement(
    test: PolicyTest, policy: Policy, source: Owner, destination: Owner
) -> Segment | None:
    spans = test.ports or EVERY_OPEN
    segments = decide_all(policy, source.identity, destination.identity, spans)
    return next((each for each in segments if each.decision.allow != test.allow), None)


def _pairs(test: PolicyTest, everyone: tuple[Owner, ...]) -> Iterator[tuple[Owner, Owner]]:
    """One pair for each pair of identities, as principals of one identity are judged alike."""
    sources, destinations = (
        _by_identity(selector, everyone) for selector in (test.sources, test.destinations)
    )
    for some in sources.values():
        for others in destinations.values():
            pair = _distinct(some, others)
            if pair is not None:
                yield pair


def _by_identity(
    selector: Selector, everyone: tuple[Owner, ...]
) -> dict[Labels | None, list[Owner]]:
    """Those that the selector means: of each identity the first, and the first on another node."""
    groups: dict[Labels | None, list[Owner]] = {}
    for owner in everyone:
        if selector.selects(owner.names):
            group = groups.setdefault(owner.identity, [])
            if not group or (len(group) == 1 and group[0].node != owner.node):
                group.append(owner)
    return groups


def _distinct(some: list[Owner], others: list[Owner]) -> tuple[Owner, Owner] | None:
    """The first pair of two on different nodes."""
    return next(((a, b) for a in some for b in others if a.node != b.node), None)
