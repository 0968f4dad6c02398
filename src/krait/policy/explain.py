# SPDX-License-Identifier: Apache-2.0
"""Why a flow may open or not: the verdict, the rule that decides, and what else matched."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from krait.common.errors import UsageError
from krait.policy import lifetime, ports
from krait.policy.evaluate import Decision, Segment, decide_all
from krait.policy.groups import Groups
from krait.policy.model import ICMP4, ICMP6, TCP, UDP, Action, Document, Policy, PortSpan
from krait.policy.owners import Owner, find

_COMMON = (TCP, UDP, ICMP4, ICMP6)


class Verdict(StrEnum):
    """The answer as a whole."""

    ALLOWED = "allowed"
    DENIED = "denied"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the answer: protocols and ports in words, and the decision that they share."""

    what: tuple[str, ...]
    decision: Decision


@dataclass(frozen=True, slots=True)
class Explanation:
    """Who asked to reach whom, and the answer in as few rows as tell it all."""

    source: Owner
    destination: Owner
    rows: tuple[Row, ...]

    @property
    def verdict(self) -> Verdict:
        """MIXED where some protocols and ports are allowed and others are not."""
        verdicts = {row.decision.allows for row in self.rows}
        if len(verdicts) > 1:
            return Verdict.MIXED
        return Verdict.ALLOWED if verdicts == {True} else Verdict.DENIED

    def reason(self, decision: Decision) -> str:
        """Why a row is judged as it is, in a clause."""
        for owner in (self.source, self.destination):
            if owner.identity is None:
                return f"{owner.name} has no tags, so nothing passes"
        return why(decision)


def explain(
    document: Document, from_text: str, to_text: str, port_text: str | None = None
) -> Explanation:
    """Answer whether FROM may open PORT at TO; without a port, what it may open at all.

    FROM and TO are names of nodes, addresses that the document gives to someone, or subnets as it
    has them; TO may be a multicast group. Raises UsageError for what the document does not know.
    """
    source, destination = find(document, from_text), find(document, to_text)
    if not source.sends:
        raise UsageError(
            f"{source.name} is a multicast group: nobody sends from one",
            hint="ask who may send to it, or name a node that is in it",
        )
    if source.node == destination.node:
        keyless = next((each for each in (source, destination) if each.lacks_key), None)
        why = f"{keyless.name} has no key and is behind {keyless.node}; " if keyless else ""
        raise UsageError(
            f"{source.name} and {destination.name} are on the same side of the tunnel",
            hint=f"{why}what stays on one node, or behind it, never passes a filter of Krait",
        )
    groups = Groups(document.policy.groups)
    spans = groups.parse(port_text) if port_text is not None else every_open(document.policy)
    segments = decide_all(document.policy, source.identity, destination.identity, spans)
    return Explanation(source, destination, tuple(_rows(segments)))


def every_open(policy: Policy) -> tuple[PortSpan, ...]:
    """What a question without a port asks: each protocol that a rule may tell from the others."""
    named = sorted({span.protocol for rule in policy.rules for span in rule.ports})
    known = dict.fromkeys((*_COMMON, *named, ports.OTHER_PROTOCOL))
    return tuple(ports.whole(protocol) for protocol in known)


_VERBS = {Action.ALLOW: "allows", Action.DENY: "denies", Action.REJECT: "rejects"}


def why(decision: Decision) -> str:
    """The reason in a clause: which rule, in which line, or that none matched."""
    verb = _VERBS[decision.action]
    if decision.rule is None:
        return f"no rule matches, and the default {verb}"
    until = decision.rule.until
    end = "" if until is None else f" until {lifetime.written(until)}"
    return f'rule "{decision.rule.name}" in line {decision.rule.mark.line} {verb}{end}'


def describe(span: Segment | PortSpan) -> str:
    """A span in words, as short as a document would write it."""
    if span.protocol == ports.OTHER_PROTOCOL:
        return "every other protocol"
    return ports.describe(span.protocol, span.low, span.high)


def _rows(segments: tuple[Segment, ...]) -> Iterator[Row]:
    """A row for each decision; the one that unnamed protocols get comes last, as the rest."""
    groups: dict[Decision, list[Segment]] = {}
    rest = None
    for segment in segments:
        groups.setdefault(segment.decision, []).append(segment)
        if segment.protocol == ports.OTHER_PROTOCOL:
            rest = segment.decision
    for decision, group in groups.items():
        if decision != rest:
            yield Row(words(group), decision)
    if rest is not None:
        yield Row(("everything else" if len(groups) > 1 else "everything",), rest)


def words(spans: Iterable[Segment | PortSpan]) -> tuple[str, ...]:
    """Each in words, neighbours merged, and ICMP of both families in one word."""
    merged: list[PortSpan] = []
    for span in spans:
        last = merged[-1] if merged else None
        if last and (last.protocol, last.high + 1) == (span.protocol, span.low):
            merged[-1] = replace(last, high=span.high)
        else:
            merged.append(PortSpan(span.protocol, span.low, span.high))
    found = [describe(span) for span in merged]
    for what in ("", "/echo"):
        if {f"icmp4{what}", f"icmp6{what}"} <= set(found):
            found.remove(f"icmp6{what}")
            found[found.index(f"icmp4{what}")] = f"icmp{what}"
    return tuple(found)
