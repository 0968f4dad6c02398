# SPDX-License-Identifier: Apache-2.0
import re

import pytest

from krait.policy import advice, expectations
from krait.policy.document import load
from krait.policy.lint import IDS, Finding, lint
from krait.policy.model import Document
from tests.documents import policy

SQL = "{name: sql, from: web, to: db, ports: tcp/5432}"
NO_SSH = "{name: no-ssh, from: '*', to: db, ports: tcp/22, action: deny}"
ALL_THERE = "{name: there, from: web, to: db}"


def read(rules: list[str], tests: list[str], rest: str = "") -> Document:
    """Of db1 (db, prod) and web1 (web, prod); the first rule is in column 1 of line 6."""
    text = policy("").removesuffix("policy: \n")
    rules, tests = ([f"{each},\n" for each in some] for some in (rules, tests))
    text += f"policy: {{{rest}rules: [\n\n{''.join(rules)}],\n tests: [\n{''.join(tests)}]}}\n"
    return load(text.encode(), "krait.yaml")


def found(rules: list[str], tests: list[str] | None = None, rest: str = "") -> list[Finding]:
    return list(lint(read(rules, tests or [], rest)))


FINDINGS: dict[str, tuple[list[str], str]] = {
    "any-to-any": (
        [SQL, "{name: everybody, from: ['*', web], to: '*'}"],
        'rule "everybody" lets everyone open everything to everyone: say who, or which ports',
    ),
    "shadowed": (
        [NO_SSH, "{name: ssh, from: web, to: db, ports: tcp/22}"],
        (
            'rule "ssh" never decides: all that it allows is denied by "no-ssh" in line 6; take it '
            "out, or narrow what covers it"
        ),
    ),
    "repeated": (
        [SQL, "{name: again, from: prod, to: db, ports: tcp/5432}"],
        'rule "again" never decides: it repeats "sql" in line 6',
    ),
    "untested-deny": (
        [SQL, NO_SSH],
        (
            'no test expects what rule "no-ssh" denies: add {from: "*", to: db, port: tcp/22, '
            "expect: deny}"
        ),
    ),
    "one-way": (
        [NO_SSH, ALL_THERE],
        (
            'rule "there" lets web open everything to db, and nothing lets those open anything '
            "back; if that is meant, say it in a test: {from: db, to: web, expect: deny}"
        ),
    ),
}
TESTED = ["{from: web, to: db, port: tcp/22, expect: deny}"]


@pytest.mark.parametrize("what", FINDINGS)
def test_each_finding_is_told_at_the_rule_that_it_is_about(what: str) -> None:
    rules, message = FINDINGS[what]
    name = re.findall('"([a-z-]+)"', message)[0]
    tests = [] if what == "untested-deny" else TESTED
    assert found(rules, tests) == [Finding(7, 1, message, what, name)]


def test_a_default_of_allow_is_told_where_it_is_written() -> None:
    assert found([], rest="strict: true, default: allow, ") == [
        Finding(
            4,
            33,
            "what no rule matches is allowed: leave it out, and write a rule for what is meant",
            "default-allow",
            None,
        )
    ]
    assert found([], rest="strict: false, default: deny, ") == []


def test_every_finding_has_an_id_that_no_advice_has() -> None:
    assert set(FINDINGS) | {"default-allow"} == IDS
    assert IDS.isdisjoint(advice.IDS)


NOT_FOUND = {
    "everyone to everyone with ports": (["{from: '*', to: '*', ports: [tcp, udp, icmp]}"], []),
    "everyone to everyone, denied and tested": (
        ["{from: '*', to: '*', action: deny}"],
        ["{from: web, to: db, expect: deny}"],
    ),
    "everyone to everyone, on trial": (["{from: '*', to: '*', audit: true}"], []),
    "a deny on trial": (["{from: web, to: db, action: deny, audit: true}"], []),
    "a rule that means nobody, of which the advice speaks": (["{from: db, to: db}"], []),
    "everything from one to everyone": (["{from: web, to: '*'}"], []),
    "everything from everyone to one": (["{from: '*', to: web}"], []),
    "some ports one way": ([SQL], []),
    "everything one way and a port back": (
        [ALL_THERE, "{from: db, to: web, ports: tcp/80}"],
        [],
    ),
    "everything one way, and back denied by a rule": (
        [ALL_THERE, "{from: db, to: prod, action: deny}"],
        ["{from: db1, to: web1, expect: deny}"],
    ),
    "everything one way, and back denied by a test of nodes": (
        [ALL_THERE],
        ["{from: db1, to: web1, port: tcp/80, expect: deny}"],
    ),
    "everything among those of one tag": (["{from: prod, to: prod}"], []),
}


@pytest.mark.parametrize(("rules", "tests"), NOT_FOUND.values(), ids=NOT_FOUND.keys())
def test_what_is_common_and_meant_is_no_finding(rules: list[str], tests: list[str]) -> None:
    assert found(rules, tests) == []


@pytest.mark.parametrize(
    "tests",
    [
        ["{from: web, to: db, expect: allow}"],
        ["{from: web, to: db, port: tcp/22, expect: deny}"],
    ],
    ids=["allowed there", "denied there"],
)
def test_a_test_of_the_way_there_says_nothing_of_the_way_back(tests: list[str]) -> None:
    assert [each.id for each in found([ALL_THERE], tests)] == ["one-way"]


def test_where_everything_is_open_by_default_no_way_is_one_way() -> None:
    assert [each.id for each in found([ALL_THERE], rest="default: allow, ")] == ["default-allow"]


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ("{from: web, to: db, ports: tcp/22, action: deny}", "repeated"),
        ("{from: web, to: db}", "shadowed"),
    ],
)
def test_nothing_else_is_said_of_a_rule_that_never_decides(rule: str, what: str) -> None:
    shut = "{name: shut, from: web, to: db, action: deny}"
    assert [each.id for each in found([shut, rule], TESTED)] == [what]


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        (
            [
                "{name: low, from: web, to: db, ports: tcp/0-99}",
                "{name: both, from: web, to: db, ports: tcp}",
                "{name: high, from: web, to: db, ports: tcp/100-65535, action: deny}",
            ],
            (
                'all of it is decided by "low" in line 6 and "high" in line 8; take it out, or '
                "narrow what covers it"
            ),
        ),
        (
            [
                *(f"{{name: p{i}, from: web, to: db, ports: tcp/{i}}}" for i in range(5)),
                "{name: both, from: web, to: db, ports: tcp/0-4}",
            ],
            'it repeats "p0" in line 6, "p1" in line 7, "p2" in line 8 and 2 more',
        ),
    ],
    ids=["a deny and an allow", "many"],
)
def test_several_rules_cover_one_together(rules: list[str], told: str) -> None:
    tests = ["{from: web, to: db, port: tcp/200, expect: deny}"]
    (finding,) = found(rules, tests)
    assert finding.message == f'rule "both" never decides: {told}'


@pytest.mark.parametrize(
    ("rules", "what"),
    [
        (["{from: [web, '*'], to: [db, '*'], ports: [icmp, tcp], action: deny}"], "untested-deny"),
        (["{from: {all: [web, prod]}, to: db1, action: deny}"], "untested-deny"),
        (
            [
                "{from: web, to: db, ports: [tcp/22, tcp/80-90], action: deny}",
                "{from: prod, to: db, ports: [tcp/22, tcp/85-443, udp], action: deny}",
            ],
            "untested-deny",
        ),
        (["{from: {all: [web, prod]}, to: [db, {all: [db, prod]}]}"], "one-way"),
    ],
    ids=["lists", "all of", "beside another deny", "one way"],
)
def test_the_test_that_mends_a_finding_can_be_put_into_the_document(
    rules: list[str], what: str
) -> None:
    findings = found(rules)
    assert {each.id for each in findings} == {what}
    tests = [each.message[each.message.index("{from") :] for each in findings]
    assert found(rules, tests) == []
    assert expectations.run(read(rules, tests)) == ()
