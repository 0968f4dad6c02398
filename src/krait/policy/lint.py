# SPDX-License-Identifier: Apache-2.0
"""What a careful reader would strike out of a document, or ask about: `krait check --strict`.

Each kind of finding has an id that stays as it is, by which `--allow` excuses what is meant. All is
proved from the document; only `one-way` is a guess at what was meant.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, reduce
from operator import or_
from typing import TypeAlias

from krait.policy import ports
from krait.policy.expectations import untested_denies
from krait.policy.identities import identities
from krait.policy.idle import Idle, Survey, Why, survey
from krait.policy.model import Action, Document, Labels, Mark, PortSpan, Rule, Selector
from krait.policy.owners import principals, senders
from krait.policy.pairing import Concern
from krait.policy.selectors import EVERYONE

_START = Mark(1, 1)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One remark; line and column from 1. `id` is one of IDS."""

    line: int
    column: int
    message: str
    id: str
    rule: str | None  # its name; None where it is about no rule


_Found: TypeAlias = Iterator[tuple[Mark, str, Rule | None]]


def lint(document: Document) -> tuple[Finding, ...]:
    """Every finding, in the order of the file; none is among what `advice.advise` says."""
    asked = _Asked(document, survey(document))
    return tuple(
        sorted(
            Finding(mark.line, mark.column, message, what, rule.name if rule else None)
            for what, about in _ABOUT.items()
            for mark, message, rule in about(asked)
        )
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    document: Document
    survey: Survey


def _default_allow(asked: _Asked) -> _Found:
    policy = asked.document.policy
    if policy.default.allows:
        mend = "leave it out, and write a rule for what is meant"
        yield policy.default_mark or _START, f"what no rule matches is allowed: {mend}", None


def _any_to_any(asked: _Asked) -> _Found:
    for rule in asked.document.policy.rules:
        everyone = _is_everyone(rule.sources) and _is_everyone(rule.destinations)
        if everyone and rule.allows and not rule.ports and not rule.audit:
            what = f'rule "{rule.name}" lets everyone open everything to everyone'
            yield rule.mark, f"{what}: say who, or which ports", rule


def _shadowed(asked: _Asked) -> _Found:
    for each in asked.survey.idle:
        if each.why is Why.SHADOWED:
            denied = not any(rule.allows for rule in each.covering)
            what = "all that it allows is denied by" if denied else "all of it is decided by"
            mend = "take it out, or narrow what covers it"
            yield each.rule.mark, f"{_never(each)}: {what} {each.coverers}; {mend}", each.rule


def _repeated(asked: _Asked) -> _Found:
    for each in asked.survey.idle:
        if each.why is Why.REPEATED:
            yield each.rule.mark, f"{_never(each)}: it repeats {each.coverers}", each.rule


def _never(idle: Idle) -> str:
    return f'rule "{idle.rule.name}" never decides'


def _untested(asked: _Asked) -> _Found:
    for rule in untested_denies(asked.document):
        if rule.number in asked.survey.decided:
            test = _test(rule.sources, rule.destinations, asked.survey.decided[rule.number])
            yield rule.mark, f'no test expects what rule "{rule.name}" denies: add {test}', rule


def _one_way(asked: _Asked) -> _Found:
    """Allows of everything, where nothing is said of the way back by a rule or by a test.

    Who comes from WireGuard alone, where two who know each other are open to each other, may read
    such a rule as one for both ways. Not so where the two sides share somebody, as they do if one
    of them is everyone: `is_back` finds the rule itself.
    """
    if asked.document.policy.default.allows:
        return
    is_back = _ways_back(asked.document)
    for rule in asked.document.policy.rules:
        whole = rule.allows and not rule.ports and rule.number in asked.survey.decided
        if whole and not is_back(rule) and not _is_multicast(rule.destinations, asked.document):
            some, others = rule.sources.text, rule.destinations.text
            what = f'rule "{rule.name}" lets {some} open everything to {others}'
            test = _test(rule.destinations, rule.sources)
            mend = f"if that is meant, say it in a test: {test}"
            yield rule.mark, f"{what}, and nothing lets those open anything back; {mend}", rule


def _ways_back(document: Document) -> Callable[[Rule], bool]:
    """Whether a rule or a test says something of a rule's way back."""
    policy = document.policy
    stated = [
        Rule(0, "", test.sources, test.destinations, (), Action.DENY, audit=False, mark=test.mark)
        for test in policy.tests
    ]
    said = replace(document, policy=replace(policy, rules=(*policy.rules, *stated)))
    columns = identities(said)
    concern = Concern(said.policy, columns)

    @cache
    def all_from(terms: tuple[Labels, ...]) -> int:
        return reduce(or_, (concern.sources[i] for i in _members(terms, columns)), 0)

    @cache
    def all_to(terms: tuple[Labels, ...]) -> int:
        return reduce(or_, (concern.destinations[i] for i in _members(terms, columns)), 0)

    return lambda rule: bool(all_from(rule.destinations.terms) & all_to(rule.sources.terms))


def _members(terms: tuple[Labels, ...], columns: Sequence[Labels]) -> Iterator[int]:
    return (i for i, labels in enumerate(columns) if any(term <= labels for term in terms))


def _is_everyone(selector: Selector) -> bool:
    return frozenset() in selector.terms


def _is_multicast(selector: Selector, document: Document) -> bool:
    """Whether it means nobody but multicast groups, which have no way back."""
    if not document.multicast:
        return False
    meant = [owner for owner in principals(document) if selector.selects(owner.names)]
    return not senders(meant)


def _test(sources: Selector, destinations: Selector, span: PortSpan | None = None) -> str:
    """A test that holds, as the document would write it."""
    some, others = (
        each.text.replace(EVERYONE, f'"{EVERYONE}"') for each in (sources, destinations)
    )
    port = f", port: {ports.describe(span.protocol, span.low, span.high)}" if span else ""
    return f"{{from: {some}, to: {others}{port}, expect: deny}}"


_ABOUT: Mapping[str, Callable[[_Asked], _Found]] = {
    "default-allow": _default_allow,
    "any-to-any": _any_to_any,
    "shadowed": _shadowed,
    "repeated": _repeated,
    "untested-deny": _untested,
    "one-way": _one_way,
}

IDS = frozenset(_ABOUT)
"""By what a finding may be excused; they stay as they are."""
