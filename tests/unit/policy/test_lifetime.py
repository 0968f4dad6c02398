# SPDX-License-Identifier: Apache-2.0
"""Rules that end: which one decides, what is left of a policy, and what people are told."""

from dataclasses import replace

import pytest

from krait.common.abi import PairClass
from krait.common.errors import UsageError
from krait.policy import values
from krait.policy.advice import advise
from krait.policy.compile import compile_policy
from krait.policy.evaluate import decide
from krait.policy.explain import why
from krait.policy.image import need
from krait.policy.lifetime import at, ends, written
from krait.policy.model import Action, Document, Rule
from krait.policy.settings import settings
from krait.policy.view import resolve
from tests.strategies.packets import ACK, SYN
from tests.unit.policy.bench import (
    AUDIT_RULE,
    INTERFACE,
    ME,
    SYN_IN,
    WEB,
    Bench,
    document,
    of_tcp,
)

END, END_S = "2026-12-31T18:00:00Z", 1_798_740_000
WEB_ID, DB_ID = frozenset({"web"}), frozenset({"db"})


def with_rules(*rules: str, default: str = "deny") -> Document:
    """The bench's document with rules of its own, of which `UNTIL` is one's end."""
    text = "".join(f"    - {{{rule}}}\n" for rule in rules).replace("UNTIL", f'until: "{END}"')
    before = document((f"    {AUDIT_RULE}\n", ""))
    policy = document(
        (f"    {AUDIT_RULE}\n", text), ("policy:\n", f"policy:\n  default: {default}\n")
    ).policy
    names = {rule.name for rule in before.policy.rules}
    mine = (rule for rule in policy.rules if rule.name not in names)
    rules_now = tuple(replace(rule, number=number) for number, rule in enumerate(mine, start=1))
    return replace(before, policy=replace(policy, rules=rules_now))


def deciding(found: Document, now_s: float) -> tuple[bool, str | None]:
    decision = decide(found.policy, WEB_ID, DB_ID, 6, 80, now_s=now_s)
    return decision.allows, decision.rule.name if decision.rule else None


FOR_A_TIME = "name: short, from: web, to: db, UNTIL"
FOR_LONGER = 'name: longer, from: web, to: db, until: "2027-12-31T18:00:00Z"'
FOR_EVER = "name: ever, from: web, to: db"


@pytest.mark.parametrize(
    ("rules", "name"),
    [
        ((FOR_A_TIME, FOR_EVER), "ever"),
        ((FOR_A_TIME, FOR_LONGER), "longer"),
        ((FOR_LONGER, FOR_A_TIME), "longer"),
        ((FOR_A_TIME,), "short"),
    ],
)
def test_of_rules_that_open_the_one_that_lasts_longest_decides(
    rules: tuple[str, ...], name: str
) -> None:
    """So when the one that decides ends, no other opens the same any more."""
    assert deciding(with_rules(*rules), END_S - 1) == (True, name)


def test_what_a_rule_opens_it_opens_until_its_end_and_not_at_it() -> None:
    found = with_rules(FOR_A_TIME)
    assert deciding(found, END_S - 1) == (True, "short")
    assert deciding(found, END_S) == (False, "short")
    assert deciding(at(found, END_S), END_S) == (False, None)


@pytest.mark.parametrize("default", Action)
def test_what_an_allow_opened_the_default_decides_after_its_end(default: Action) -> None:
    found = with_rules(FOR_A_TIME, default=default)
    assert decide(found.policy, WEB_ID, DB_ID, 6, 80, now_s=END_S).action is default


def test_under_a_default_that_allows_the_end_of_an_allow_closes_nothing() -> None:
    found = with_rules(FOR_A_TIME, default="allow")
    assert deciding(found, END_S)[0]
    compiled = compile_policy(found, resolve(found, INTERFACE))
    assert not any(compiled.ends)
    classes = {pair.verdict_class for row in compiled.rows.values() for pair in row}
    assert PairClass.ENDING not in classes


def test_a_deny_that_has_ended_holds_until_it_is_taken_out() -> None:
    found = with_rules(FOR_EVER, "name: ban, from: web, to: db, action: deny, UNTIL")
    assert deciding(found, END_S + 9) == (False, "ban")
    assert deciding(at(found, END_S - 1), END_S - 1) == (False, "ban")
    assert deciding(at(found, END_S), END_S) == (True, "ever")


def test_rules_that_stay_are_numbered_anew() -> None:
    found = with_rules(FOR_A_TIME, FOR_EVER, FOR_LONGER)
    assert [(r.number, r.name) for r in at(found, END_S).policy.rules] == [
        (1, "ever"),
        (2, "longer"),
    ]
    assert at(found, END_S - 1) is found
    assert ends(found) == (END_S, END_S + 365 * 86_400)


def test_only_pairs_that_are_open_for_a_time_pay_for_it() -> None:
    found = with_rules(FOR_A_TIME, "name: other, from: web, to: app")
    compiled = compile_policy(found, resolve(found, INTERFACE))
    (row,) = (compiled.rows[identity] for identity in (256,))
    by_labels = dict(zip(compiled.numbers.identities, row, strict=True))
    assert by_labels[WEB_ID].verdict_class is PairClass.ENDING
    assert by_labels[frozenset({"app"})].verdict_class is PairClass.DENY_BOTH
    assert compiled.ends == (END_S,)
    assert need(compiled).rules == 2


def test_a_flow_ends_with_the_rule_that_opened_it() -> None:
    rules = 'name: web-db, until: "2026-12-31T18:00:00Z", from: web, to: db, ports: [tcp/80'
    bench = Bench(("name: web-db, from: web, to: db, ports: [tcp/80", rules))
    assert bench.outcome(SYN_IN, "ingress", END_S - 9) == "pass web-db"
    assert bench.outcome(of_tcp(ME, WEB, ACK, -80), "egress", END_S - 2) == "pass web-db"
    assert bench.outcome(of_tcp(ME, WEB, ACK, -80), "egress", END_S) == "denied web-db"
    assert bench.outcome(of_tcp(WEB, ME, ACK), "ingress", END_S) == "denied web-db"
    assert bench.outcome(of_tcp(WEB, ME, SYN, own=5), "ingress", END_S) == "denied web-db"


@pytest.mark.parametrize("text", [END, "2026-12-31 19:00+01:00", "2026-12-31T18:00Z"])
def test_a_moment_has_its_time_zone(text: str) -> None:
    assert values.moment(text) == END_S
    assert written(values.moment(text)) == END


@pytest.mark.parametrize(
    "text", ["2026-12-31", "2026-12-31T18:00:00", "tomorrow", "2026-13-01T00:00Z", "1e9", ""]
)
def test_anything_else_is_refused_with_the_mend(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        values.moment(text)
    assert "2026-12-31T18:00:00Z" in refused.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-23:59",
        "2201-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "1970-01-01T00:00:00Z",
    ],
)
def test_a_moment_that_the_kernel_cannot_count_to_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"before 1970, or after 2200|no moment") as refused:
        values.moment(text)
    assert refused.value.hint


def test_check_tells_of_a_rule_that_has_ended_and_explain_of_the_end() -> None:
    found = with_rules(FOR_A_TIME)
    (told,) = (each for each in advise(found, END_S) if each.id == "ended")
    assert told.message == f'rule "short" ended at {END}: take it out'
    assert not [each for each in advise(found, END_S - 1) if each.id == "ended"]
    assert why(decide(found.policy, WEB_ID, DB_ID, 6, 80)).endswith(f"allows until {END}")


def test_diff_tells_of_another_end() -> None:
    assert settings(with_rules(FOR_LONGER), with_rules(FOR_LONGER)).other == ()
    later = FOR_LONGER.replace("2027", "2028")
    assert settings(with_rules(FOR_LONGER), with_rules(later)).other == ("until",)


def test_the_order_of_strength_is_denies_then_what_lasts_then_the_file() -> None:
    def rule(number: int, action: Action, until: int | None = None) -> Rule:
        first = document().policy.rules[0]
        return replace(first, number=number, action=action, until=until)

    rules = [
        rule(3, Action.DENY, until=5),
        rule(4, Action.REJECT),
        rule(2, Action.ALLOW),
        rule(5, Action.ALLOW),
        rule(6, Action.ALLOW, until=9),
        rule(1, Action.ALLOW, until=5),
    ]
    assert sorted(rules, key=lambda each: each.strength) == rules
