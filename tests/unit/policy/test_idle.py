# SPDX-License-Identifier: Apache-2.0
from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given, settings

from krait.policy.advice import advise
from krait.policy.document import load
from krait.policy.evaluate import decide, decide_all
from krait.policy.idle import Why, idle_rules, survey
from krait.policy.model import LAST_PORT, Document, Mark, Policy, PortSpan
from krait.policy.owners import principals
from krait.policy.ports import OTHER_PROTOCOL
from tests.documents import policy
from tests.strategies.worlds import World, worlds

UNNAMED = (OTHER_PROTOCOL, 0)

WEB_TO_DB = "{name: sql, from: web, to: db, ports: tcp/5432}"


def found(rules: list[str]) -> list[tuple[str, Why, list[str]]]:
    """Of db1 (db, prod) and web1 (web, prod)."""
    document = load(policy(f"{{rules: [{', '.join(rules)}]}}").encode(), "krait.yaml")
    return [
        (each.rule.name, each.why, [rule.name for rule in each.covering])
        for each in idle_rules(document)
    ]


IDLE: dict[str, tuple[list[str], list[tuple[str, Why, list[str]]]]] = {
    "nothing": ([], []),
    "one that decides": ([WEB_TO_DB], []),
    "a tag towards itself, on one node": (
        [WEB_TO_DB, "{name: peers, from: web, to: web}"],
        [("peers", Why.NOBODY, [])],
    ),
    "a deny of all that comes after it": (
        [WEB_TO_DB, "{name: no, from: '*', to: db, ports: tcp/1000-6000, action: deny}"],
        [("sql", Why.SHADOWED, ["no"])],
    ),
    "a deny of all but one port": (
        [
            "{name: some, from: web, to: db, ports: tcp/5432-5433}",
            "{name: no, from: '*', to: db, ports: tcp/1000-5432, action: deny}",
        ],
        [],
    ),
    "an earlier allow": (
        [WEB_TO_DB, "{name: again, from: prod, to: db, ports: tcp/5432}"],
        [("again", Why.REPEATED, ["sql"])],
    ),
    "a later allow that is wider": ([WEB_TO_DB, "{name: wider, from: prod, to: prod}"], []),
    "earlier allows that cover it together": (
        [
            "{name: low, from: web, to: db, ports: tcp/0-99}",
            "{name: high, from: web, to: db, ports: tcp/100-65535}",
            "{name: both, from: web, to: db, ports: tcp}",
        ],
        [("both", Why.REPEATED, ["low", "high"])],
    ),
    "a deny and an earlier allow that cover it together": (
        [
            "{name: low, from: web, to: db, ports: tcp/0-99}",
            "{name: both, from: web, to: db, ports: tcp}",
            "{name: high, from: web, to: db, ports: tcp/100-65535, action: deny}",
        ],
        [("both", Why.SHADOWED, ["low", "high"])],
    ),
    "different rules for different pairs": (
        [
            "{name: to-db, from: prod, to: db}",
            "{name: to-web, from: prod, to: web}",
            "{name: prod, from: prod, to: prod}",
        ],
        [("prod", Why.REPEATED, ["to-db", "to-web"])],
    ),
    "two rules that one covers": (
        [
            "{name: prod, from: prod, to: prod}",
            "{name: to-db, from: prod, to: db}",
            "{name: to-web, from: prod, to: web}",
        ],
        [("to-db", Why.REPEATED, ["prod"]), ("to-web", Why.REPEATED, ["prod"])],
    ),
    "two denies alike": (
        [
            "{name: no, from: web, to: db, action: deny}",
            "{name: never, from: web, to: db, ports: udp/53, action: deny}",
        ],
        [("never", Why.REPEATED, ["no"])],
    ),
    "all protocols that have a name are not every protocol": (
        [
            "{name: named, from: web, to: db, ports: [tcp, udp, icmp]}",
            "{name: whole, from: web, to: db}",
        ],
        [],
    ),
    "a deny that is for trial": (
        [WEB_TO_DB, "{name: trial, from: '*', to: '*', action: deny, audit: true}"],
        [],
    ),
}


@pytest.mark.parametrize(("rules", "idle"), IDLE.values(), ids=IDLE.keys())
def test_rules_that_never_decide_are_told_with_those_that_do(
    rules: list[str], idle: list[tuple[str, Why, list[str]]]
) -> None:
    assert found(rules) == idle


def test_a_subnet_and_its_own_node_are_on_one_side_of_the_tunnel() -> None:
    text = policy(f"{{rules: [{WEB_TO_DB}, {{name: own, from: lan, to: web}}]}}")
    text = text.replace("[web, prod]", "[web], routes: [{cidr: 10.1.0.0/16, tags: [lan, prod]}]")
    (idle,) = idle_rules(load(text.encode(), "krait.yaml"))
    assert (idle.rule.name, idle.why) == ("own", Why.NOBODY)


def test_a_hub_and_who_has_no_key_there_are_on_one_side_of_the_tunnel() -> None:
    text = policy(f"{{rules: [{WEB_TO_DB}, {{name: own, from: printer, to: web}}]}}")
    text = text.replace("[web, prod]", "[web, prod], transit: true")
    text = text.replace("policy:", "  printer: {via: web1}\npolicy:")
    document = load(text.encode(), "krait.yaml")
    (idle,) = idle_rules(document)
    assert (idle.rule.name, idle.why) == ("own", Why.NOBODY)
    assert [each.message for each in advise(document) if each.id == "matches-nobody"] == [
        'rule "own" matches no two nodes or tagged subnets'
    ]


@pytest.mark.parametrize(
    ("ports", "decided"),
    [
        ("tcp/85-100", PortSpan(6, 91, 100)),
        ("tcp/70-100", PortSpan(6, 70, 79)),
        ("[tcp/80-95, tcp/96-99]", PortSpan(6, 91, 95)),
        ("[tcp/85, udp]", PortSpan(17, 0, 0xFFFF)),
    ],
)
def test_what_a_rule_decides_is_told_by_ports_that_are_its_own(
    ports: str, decided: PortSpan
) -> None:
    rules = (
        "{from: web, to: db, ports: tcp/80-90, action: deny}, "
        f"{{from: web, to: db, ports: {ports}}}, {{from: web, to: db}}"
    )
    found = survey(load(policy(f"{{rules: [{rules}]}}").encode(), "krait.yaml"))
    assert found.idle == ()
    assert found.decided == {1: PortSpan(6, 80, 90), 2: decided, 3: None}


def without_ending_denies(policy: Policy) -> Policy:
    rules = tuple(rule for rule in policy.rules if rule.allows or rule.until is None)
    return replace(policy, rules=rules)


def by_brute_force(document: Document) -> list[tuple[str, Why, list[str]]]:
    """By the reference: every pair on different nodes, every port at which anything may change."""
    rules = [rule for rule in document.policy.rules if not rule.audit]
    spans = [span for rule in rules for span in rule.ports]
    opens = {UNNAMED} | {
        (span.protocol, port)
        for span in spans
        for port in (span.low, span.high, span.high + 1)
        if port <= LAST_PORT.get(span.protocol, 0)
    }
    everyone = principals(document)
    pairs = {
        (some.identity, other.identity)
        for some in everyone
        for other in everyone
        if some.sends and some.node != other.node and None not in (some.identity, other.identity)
    }
    deciding: dict[int, set[int]] = defaultdict(set)  # by those that match
    decides_later = set()
    for source, destination in pairs:
        for protocol, port in opens:
            decision = decide(document.policy, source, destination, protocol, port)
            if decision.rule:
                for rule in (decision.rule, *decision.others):
                    deciding[rule.number].add(decision.rule.number)
            later = decide(
                without_ending_denies(document.policy), source, destination, protocol, port
            )
            decides_later.add(later.rule.number if later.rule else 0)
    idle = []
    for rule in rules:
        covering = [each for each in rules if each.number in deciding[rule.number]]
        if rule not in covering and rule.number not in decides_later:
            shadowed = any(each.allows != rule.allows for each in covering)
            why = Why.SHADOWED if shadowed else Why.REPEATED if covering else Why.NOBODY
            idle.append((rule.name, why, [each.name for each in covering]))
    return idle


@settings(max_examples=300)
@given(worlds())
def test_the_reference_says_the_same_of_every_pair_and_port(world: World) -> None:
    idle = idle_rules(world.document)
    assert [
        (each.rule.name, each.why, [rule.name for rule in each.covering]) for each in idle
    ] == by_brute_force(world.document)


@settings(max_examples=100)
@given(worlds())
def test_every_other_rule_decides_where_it_is_said_to(world: World) -> None:
    policy, everyone = world.document.policy, principals(world.document)
    found = survey(world.document)
    idle = {each.rule.number for each in found.idle}
    enforced = {rule.number for rule in policy.rules if not rule.audit}
    assert found.decided.keys() == enforced - idle
    for number, span in found.decided.items():
        spans = (span or PortSpan(OTHER_PROTOCOL, 0, 0),)
        decisions = (
            decide_all(each, a.identity, b.identity, spans)
            for each in (policy, without_ending_denies(policy))
            for a in everyone
            for b in everyone
            if a.node != b.node and a.sends
        )
        rule = policy.rules[number - 1]
        assert any(all(each.decision.rule == rule for each in some) for some in decisions)


@settings(max_examples=100)
@given(worlds())
def test_the_advice_is_about_the_same_rules_that_mean_nobody(world: World) -> None:
    rules = replace_marks(world.document)
    remarked = {each.line for each in advise(rules) if each.id == "matches-nobody"}
    enforced = {rule.mark.line for rule in rules.policy.rules if not rule.audit}
    idle = {each.rule.mark.line for each in idle_rules(rules) if each.why is Why.NOBODY}
    assert idle == remarked & enforced


def replace_marks(document: Document) -> Document:
    """Each rule in a line of its own."""
    rules = (replace(rule, mark=Mark(rule.number, 1)) for rule in document.policy.rules)
    return replace(document, policy=replace(document.policy, rules=tuple(rules)))


SOON, LATER = (f'until: "{year}-01-01T00:00:00Z"' for year in (2090, 2099))


@pytest.mark.parametrize("ports", ["", ", ports: tcp/80"])
def test_what_a_deny_covers_until_its_end_decides_after_it(ports: str) -> None:
    ban = f"{{name: ban, from: web, to: db, action: deny, {SOON}}}"
    assert found([ban, f"{{name: open, from: web, to: db{ports}}}"]) == []


def test_an_allow_that_ends_is_covered_by_a_later_one_that_lasts() -> None:
    short = f"{{name: short, from: web, to: db, {SOON}}}"
    longer = f"{{name: longer, from: web, to: db, {LATER}}}"
    ever = "{name: ever, from: web, to: db}"
    assert found([short, longer]) == [("short", Why.REPEATED, ["longer"])]
    assert found([short, ever]) == [("short", Why.REPEATED, ["ever"])]
    assert found([ever, short]) == [("short", Why.REPEATED, ["ever"])]
