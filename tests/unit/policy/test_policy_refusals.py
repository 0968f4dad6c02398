# SPDX-License-Identifier: Apache-2.0
"""What `document.load` refuses in the section `policy`: rules, ports, groups and tests."""

import pytest

from tests.documents import policy, ports, rule
from tests.unit.policy.refusal import HERE, assert_refused_there, problems

BAD = {
    # rules
    "an unknown policy key": (policy(f"{{{HERE}rule: []}}"), 'unknown key "rule" in policy'),
    "an unknown default": (policy(f"{{default: {HERE}drop}}"), "expected deny or reject or allow"),
    "rules that are no list": (
        policy(f"{{rules: {HERE}{{}}}}"),
        "expected a list, found a mapping",
    ),
    "rules that are nothing": (policy(f"\n  rules:{HERE}\n"), "expected a list, found nothing"),
    "a rule that is a word": (policy(f"{{rules: [{HERE}web]}}"), "a rule: expected a mapping"),
    "a rule without a side": (policy(f"{{rules: [{HERE}{{from: web}}]}}"), "a rule lacks `to`"),
    "an unknown tag": (rule(f"from: [web, {HERE}prd], to: db"), 'unknown tag or node "prd"'),
    "an unknown tag in all": (
        rule(f"from: {{all: [web, {HERE}prd]}}, to: db"),
        'unknown tag or node "prd"',
    ),
    "an empty selector": (rule(f"from: {HERE}[], to: db"), "expected at least one tag or node"),
    "an empty text": (rule(f"from: {HERE}'', to: db"), "expected at least one tag or node"),
    "a selector of nothing": (rule(f"from: {HERE}, to: db"), "expected one value, found nothing"),
    "an empty all": (rule(f"from: {{all: {HERE}[]}}, to: db"), "expected at least one tag"),
    "everyone in all": (rule(f"from: {{all: [{HERE}'*', db]}}, to: db"), '"*" inside `all`'),
    "any of": (rule(f"from: {{all: db, {HERE}any: db}}, to: db"), 'unknown key "any" in from'),
    "any of, alone": (rule(f"from: {{{HERE}any: [db]}}, to: db"), 'unknown key "any" in from'),
    "a reserved selector": (rule(f"from: {HERE}any, to: db"), '"any" is a reserved word'),
    "a group of ports as a selector": (
        rule(f"from: {HERE}'@web', to: db"),
        '"@web" is a group of ports; selectors name tags and nodes',
    ),
    "an address as a selector": (rule(f"from: {HERE}10.8.0.2, to: db"), "is an address"),
    "a subnet as a selector": (rule(f"from: {HERE}'fd00::/8', to: db"), "is an address"),
    "a list in a selector": (rule(f"from: [{HERE}[web]], to: db"), "found a list"),
    "an unknown action": (
        rule(f"from: web, to: db, action: {HERE}drop"),
        "allow or deny or reject",
    ),
    "an audit in words": (rule(f"from: web, to: db, audit: {HERE}on"), "true or false"),
    "a duplicate rule name": (
        policy(
            f"{{rules: [{{name: a, from: web, to: db}}, {{name: {HERE}a, from: db, to: web}}]}}"
        ),
        'duplicate rule name "a"',
    ),
    "the name of an unnamed rule": (
        policy(f"{{rules: [{{name: {HERE}rule-2, from: web, to: db}}, {{from: db, to: web}}]}}"),
        '"rule-2" is what the unnamed rule in line 4 is called',
    ),
    "a rule named default": (rule(f"name: {HERE}default, from: web, to: db"), '"default" means'),
    "a rule name with a space": (rule(f"name: {HERE}a b, from: web, to: db"), "is not a name"),
    # ports
    "a mapping among the members of all": (
        policy(f"{{rules: [{{from: {{all: [web, {HERE}{{x: y}}]}}, to: db}}]}}"),
        "expected one value, found a mapping",
    ),
    "no ports": (ports(f"{HERE}[]"), "ports: expected at least one"),
    "a port without a protocol": (ports(f"[{HERE}22]"), "port 22 without its protocol"),
    "an unknown protocol": (ports(f"[{HERE}tpc/22]"), 'unknown protocol "tpc"'),
    "a protocol of a newer list": (ports(f"{HERE}nsh"), 'unknown protocol "nsh"'),
    "a protocol by a number too large": (ports(f"{HERE}ip/255"), "no number of a protocol"),
    "a protocol by no number": (ports(f"{HERE}ip/4x"), "no number of a protocol"),
    "a protocol without its number": (ports(f"{HERE}ip"), "no number of a protocol"),
    "a port of gre": (ports(f"{HERE}gre/1"), "gre has no ports"),
    "a port out of range": (ports(f"[tcp/22, {HERE}tcp/65536]"), "port out of range"),
    "a huge port": (ports(f"{HERE}tcp/9999999999"), "neither a port nor a range"),
    "a reversed range": (ports(f"{HERE}udp/8100-8000"), "reversed range"),
    "a port that is a word": (ports(f"{HERE}tcp/ssh"), "neither a port nor a range"),
    "an empty port": (ports(f"{HERE}tcp/"), "neither a port nor a range"),
    "a port in other digits": (ports(f"{HERE}tcp/\u0662"), "neither a port nor a range"),
    "a type of both kinds of icmp": (ports(f"{HERE}icmp/8"), "have different types of ICMP"),
    "an unknown type of icmp": (ports(f"{HERE}icmp4/ping"), "neither a type nor a range"),
    "a type of icmp out of range": (ports(f"{HERE}icmp6/256"), "type out of range"),
    "an icmp error": (ports(f"{HERE}icmp4/3-5"), "no rule decides about this message"),
    "an echo reply": (ports(f"{HERE}icmp6/129"), "no rule decides about this message"),
    "discovery of routers": (ports(f"{HERE}icmp4/9-10"), "no rule decides about this message"),
    "discovery of neighbours": (
        ports(f"{HERE}icmp6/133-137"),
        "no rule decides about this message",
    ),
    "ports in a mapping": (ports(f"{HERE}{{tcp: 22}}"), "expected one value, found a mapping"),
    # groups of ports
    "an unknown group": (ports(f"[tcp/1, {HERE}'@web']"), 'ports: unknown group "@web"'),
    "an unknown group of a test": (
        policy(f"{{tests: [{{from: web, to: db, port: {HERE}'@web', expect: deny}}]}}"),
        'port: unknown group "@web"',
    ),
    "groups in a list": (
        policy(f"{{groups: {HERE}[web]}}"),
        "expected a mapping of names to ports",
    ),
    "an empty group": (
        policy(f"{{groups: {{web: {HERE}[]}}}}"),
        'group "web": expected at least one',
    ),
    "a group of nothing": (policy(f"{{groups: {{web: {HERE}}}}}"), 'group "web": expected a value'),
    "a group in capitals": (policy(f"{{groups: {{{HERE}Web: tcp}}}}"), '"Web" is not a name'),
    "a group that is a reserved word": (policy(f"{{groups: {{{HERE}any: tcp}}}}"), "reserved word"),
    "a group of a group": (
        policy(f"{{groups: {{web: tcp, all-web: [udp, {HERE}'@web']}}}}"),
        'group "all-web": "@web" inside a group',
    ),
    "a group with a bad port": (
        policy(
            f"{{groups: {{web: [tcp/80, {HERE}tcp/70000]}}, "
            "rules: [{from: web, to: db, ports: '@web'}]}"
        ),
        'group "web": "tcp/70000": port out of range',
    ),
    "a group twice": (
        policy(f"{{groups: {{web: tcp, {HERE}web: udp}}}}"),
        'duplicate key "web"',
    ),
    # tests
    "a test without an answer": (
        policy(f"{{tests: [{HERE}{{from: web, to: db}}]}}"),
        "a test lacks `expect`",
    ),
    "a test of an unknown node": (
        policy(f"{{tests: [{{from: {HERE}web2, to: db, expect: deny}}]}}"),
        'unknown tag or node "web2"',
    ),
    "a test with a bad port": (
        policy(f"{{tests: [{{from: web, to: db, port: {HERE}http, expect: deny}}]}}"),
        'unknown protocol "http"',
    ),
    "a test with ports": (
        policy(f"{{tests: [{{from: web, to: db, {HERE}ports: tcp, expect: deny}}]}}"),
        'unknown key "ports" in a test',
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_policy_is_refused_at_its_line_and_column(text: str, message: str) -> None:
    assert_refused_there(text, message)


HINTS = {
    "nodes in a list": (
        "nodes: [{name: db1}]\npolicy: {}\n",
        "write `NAME: {public_key: …}` in the place of `- name: NAME`",
    ),
    "a source": (rule("src: web, to: db"), 'did you mean "from"?'),
    "a destination": (rule("from: web, destination: db"), 'did you mean "to"?'),
    "any of": (rule("from: {any: [web]}, to: db"), "a list means any of them: [web, db]"),
    "the destination of a test": (
        policy("{tests: [{from: web, dst: db, expect: deny}]}"),
        'did you mean "to"?',
    ),
    "two ports of a test": (
        policy("{tests: [{from: web, to: db, port: [tcp/1, tcp/2], expect: deny}]}"),
        "write one test for each, or a group of ports",
    ),
}


@pytest.mark.parametrize(("text", "hint"), HINTS.values(), ids=HINTS.keys())
def test_what_other_tools_call_it_is_told_once_and_as_it_is_called_here(
    text: str, hint: str
) -> None:
    assert [problem.hint for problem in problems(text)] == [hint]


def test_a_side_that_is_called_otherwise_does_not_hide_one_that_is_missing() -> None:
    found = problems(rule("src: web"))
    assert [problem.message for problem in found] == [
        "a rule lacks `to`",
        'unknown key "src" in a rule',
    ]
