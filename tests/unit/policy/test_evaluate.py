# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krait.policy.document import load
from krait.policy.evaluate import EVERYTHING, decide, decide_all
from krait.policy.model import Action, Labels, Mark, Policy, PortSpan, Rule, Selector
from krait.policy.ports import whole
from tests.documents import policy as document

TCP, UDP = 6, 17
WEB, DB = frozenset({"web", "prod"}), frozenset({"db", "prod"})


def policy(rules: str, default: str = "deny") -> Policy:
    text = document(f"{{default: {default}, rules: [{rules}]}}")
    return load(text.encode(), "krait.yaml").policy


DENY_SSH = "{name: no-ssh, from: '*', to: db, ports: tcp/22, action: deny}"
ALLOW_WEB = "{name: web-to-db, from: web, to: db}"
ALLOW_PROD = "{name: prod, from: prod, to: prod, ports: tcp}"
TRIAL = "{name: trial, from: web, to: db, action: deny, audit: true}"


@pytest.mark.parametrize("rules", [f"{DENY_SSH}, {ALLOW_WEB}", f"{ALLOW_WEB}, {DENY_SSH}"])
def test_deny_beats_allow_whatever_the_order(rules: str) -> None:
    decision = decide(policy(rules), WEB, DB, TCP, 22)
    assert not decision.allows
    assert decision.rule is not None
    assert decision.rule.name == "no-ssh"
    assert [rule.name for rule in decision.others] == ["web-to-db"]


def test_the_first_of_several_allows_decides_and_the_others_are_listed() -> None:
    decision = decide(policy(f"{ALLOW_PROD}, {ALLOW_WEB}"), WEB, DB, TCP, 443)
    assert decision.allows
    assert decision.rule is not None
    assert decision.rule.name == "prod"
    assert [rule.name for rule in decision.others] == ["web-to-db"]


def test_an_audit_rule_is_listed_and_never_enforces() -> None:
    decision = decide(policy(f"{TRIAL}, {ALLOW_WEB}"), WEB, DB, TCP, 443)
    assert decision.allows
    assert decision.others == ()
    assert [rule.name for rule in decision.audit] == ["trial"]


@pytest.mark.parametrize("default", Action)
def test_the_default_decides_what_no_rule_names(default: Action) -> None:
    decision = decide(policy(f"{DENY_SSH}, {TRIAL}", default), WEB, DB, TCP, 443)
    assert (decision.action, decision.rule) == (default, None)


@pytest.mark.parametrize(("source", "destination"), [(None, DB), (WEB, None), (None, None)])
def test_no_identity_is_denied_under_every_default(
    source: Labels | None, destination: Labels | None
) -> None:
    open_to_all = policy("{from: '*', to: '*'}", "allow")
    assert not decide(open_to_all, source, destination, TCP, 443).allows
    assert [
        segment.decision.allows for segment in decide_all(open_to_all, source, destination)
    ] == [False] * 256


def test_a_rule_says_who_may_open_and_not_who_may_be_opened_to() -> None:
    assert not decide(policy(ALLOW_WEB), DB, WEB, TCP, 443).allows


def test_everyone_includes_an_identity_without_tags() -> None:
    assert decide(policy("{from: '*', to: db}"), frozenset(), DB, TCP, 443).allows


TAGS = st.frozensets(st.sampled_from("abc"), max_size=2)
PROTOCOLS = [1, TCP, UDP]
LAST_PORT = 8
"""Small enough to try them all; rules stay below it."""


@st.composite
def selectors(draw: st.DrawFn) -> Selector:
    return Selector(tuple(draw(st.lists(TAGS, min_size=1, max_size=2))), "")


@st.composite
def spans(draw: st.DrawFn) -> PortSpan:
    low, high = sorted((draw(st.integers(0, LAST_PORT)), draw(st.integers(0, LAST_PORT))))
    return PortSpan(draw(st.sampled_from(PROTOCOLS)), low, high)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    rules = [
        Rule(
            number,
            f"rule-{number}",
            draw(selectors()),
            draw(selectors()),
            tuple(draw(st.lists(spans(), max_size=2))),
            draw(st.sampled_from(Action)),
            draw(st.integers(0, 3)) == 0,
            Mark(number, 1),
        )
        for number in range(1, draw(st.integers(0, 5)) + 1)
    ]
    return Policy(draw(st.sampled_from(Action)), strict=False, rules=tuple(rules), tests=())


def restated(policy: Policy, source: Labels, destination: Labels, protocol: int, port: int) -> bool:
    """The same semantics in other words: sets of opens, deny taken from allow."""
    allowed = {(protocol, port)} if policy.default.allows else set()
    denied: set[tuple[int, int]] = set()
    for rule in policy.rules:
        from_all = any(all(tag in source for tag in term) for term in rule.sources.terms)
        to_all = any(all(tag in destination for tag in term) for term in rule.destinations.terms)
        if rule.audit or not (from_all and to_all):
            continue
        opens = {(s.protocol, p) for s in rule.ports for p in range(s.low, s.high + 1)}
        (allowed if rule.allows else denied).update(opens if rule.ports else {(protocol, port)})
    return (protocol, port) in allowed - denied


@given(policies(), TAGS, TAGS)
def test_decide_agrees_with_sets_of_opens(policy: Policy, source: Labels, to: Labels) -> None:
    for protocol in [*PROTOCOLS, 47]:
        for port in range(LAST_PORT + 2):
            decision = decide(policy, source, to, protocol, port)
            assert decision.allows == restated(policy, source, to, protocol, port)


@given(policies(), TAGS, TAGS, st.permutations(range(5)))
def test_the_verdict_does_not_depend_on_the_order_of_rules(
    policy: Policy, source: Labels, to: Labels, order: list[int]
) -> None:
    rules = tuple(policy.rules[i] for i in order if i < len(policy.rules))
    shuffled = replace(policy, rules=rules)
    for protocol in PROTOCOLS:
        for port in range(LAST_PORT + 2):
            here = decide(policy, source, to, protocol, port)
            assert here.allows == decide(shuffled, source, to, protocol, port).allows


@given(policies(), TAGS, TAGS)
def test_segments_cover_every_protocol_and_port_exactly_once_in_order(
    policy: Policy, source: Labels, to: Labels
) -> None:
    segments = decide_all(policy, source, to)
    ends = [(segment.protocol, segment.high) for segment in segments]
    starts = [(segment.protocol, segment.low) for segment in segments]
    follows = [(p, high + 1) if high < whole(p).high else (p + 1, 0) for p, high in ends]
    assert starts == [(0, 0), *follows[:-1]]
    assert follows[-1] == (256, 0)
    assert all(segment.low <= segment.high for segment in segments)


@given(policies(), TAGS, TAGS)
def test_throughout_a_segment_the_decision_is_the_same(
    policy: Policy, source: Labels, to: Labels
) -> None:
    for segment in decide_all(policy, source, to):
        for port in {*range(segment.low, min(segment.high, LAST_PORT + 2) + 1), segment.high}:
            assert decide(policy, source, to, segment.protocol, port) == segment.decision


def test_only_the_spans_asked_for_are_answered() -> None:
    asked = (PortSpan(TCP, 20, 30), PortSpan(UDP, 5, 5))
    segments = decide_all(policy(f"{ALLOW_WEB}, {DENY_SSH}"), WEB, DB, asked)
    assert [(s.protocol, s.low, s.high, s.decision.allows) for s in segments] == [
        (TCP, 20, 21, True),
        (TCP, 22, 22, False),
        (TCP, 23, 30, True),
        (UDP, 5, 5, True),
    ]


def test_everything_is_every_protocol_with_every_port() -> None:
    tops = {span.protocol: span.high for span in EVERYTHING if (span.low, span.high) != (0, 0)}
    assert tops == {1: 255, 6: 65535, 17: 65535, 58: 255, 132: 65535}
    assert [span.protocol for span in EVERYTHING] == list(range(256))
