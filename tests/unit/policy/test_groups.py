# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from krait.policy import expectations
from krait.policy.addition import add
from krait.policy.document import load
from krait.policy.explain import Verdict, explain
from krait.policy.model import TCP, UDP, Document, PolicyTest, PortSpan, Rule
from krait.policy.newcomer import Newcomer
from tests.documents import policy

WEB = (PortSpan(TCP, 80, 80), PortSpan(TCP, 443, 443))
GROUPS = "groups: {web: [tcp/80, tcp/443], dns: udp/53}"


def read(text: str) -> Document:
    return load(policy(text).encode(), "krait.yaml")


def rule(ports: str, groups: str = GROUPS) -> Rule:
    (found,) = read(f"{{rules: [{{from: web, to: db, ports: {ports}}}], {groups}}}").policy.rules
    return found


def one_test(port: str, expect: str, allowed: str) -> tuple[Document, PolicyTest]:
    rules = f"rules: [{{from: web, to: db, ports: {allowed}}}]"
    tests = f"tests: [{{from: web, to: db, port: {port}, expect: {expect}}}]"
    document = read(f"{{{GROUPS}, {rules}, {tests}}}")
    return document, document.policy.tests[0]


def test_a_rule_that_names_a_group_has_its_ports() -> None:
    assert rule("'@web'").ports == WEB


def test_groups_and_ports_stand_in_one_list_each_span_once() -> None:
    assert rule("['@dns', tcp/80, '@web', '@dns']").ports == (PortSpan(UDP, 53, 53), *WEB)


@given(st.lists(st.sampled_from(["tcp/80", "udp", "icmp", "tcp/1-9"]), min_size=1))
def test_a_group_means_what_it_is_short_for(ports: list[str]) -> None:
    written = f"[{', '.join(ports)}]"
    groups = f"groups: {{g: {written}}}"
    (group,) = read(f"{{{groups}}}").policy.groups
    assert rule("'@g'", groups).ports == group.ports == rule(written, groups).ports


def test_a_group_knows_whether_a_rule_or_a_test_names_it() -> None:
    test = "tests: [{from: web, to: db, port: '@dns', expect: deny}]"
    rules = "rules: [{from: web, to: db, ports: ['@web']}]"
    groups = read(f"{{groups: {{web: tcp, dns: udp, old: icmp}}, {rules}, {test}}}").policy.groups
    assert [(each.name, each.used) for each in groups] == [
        ("web", True),
        ("dns", True),
        ("old", False),
    ]
    assert [(each.mark.line, each.mark.column) for each in groups][2] == (4, 39)


def test_a_group_may_be_called_as_a_tag_and_a_policy_may_have_none() -> None:
    assert rule("'@web'").sources.text == "web"
    assert read("{groups: {}}").policy.groups == ()


@pytest.mark.parametrize(
    ("expect", "allowed", "failures"),
    [
        ("allow", "'@web'", 0),
        ("allow", "tcp/80", 1),
        ("deny", "tcp/80", 1),
        ("deny", "udp", 0),
    ],
)
def test_every_port_of_a_group_has_to_agree_with_a_test(
    expect: str, allowed: str, failures: int
) -> None:
    document, test = one_test("'@web'", expect, allowed)
    assert (test.ports, test.port_text) == (WEB, "@web")
    found = expectations.run(document)
    assert len(found) == failures
    assert all("web1 to db1, @web: expected" in each.message for each in found)


def test_an_explanation_is_asked_for_a_group() -> None:
    document = read(f"{{{GROUPS}, rules: [{{name: r, from: web, to: db, ports: [tcp/80, udp]}}]}}")
    assert explain(document, "web1", "db1", "@web").verdict is Verdict.MIXED
    assert explain(document, "web1", "db1", "@dns").verdict is Verdict.ALLOWED
    assert explain(document, "web1", "db1", "@web").rows[0].what == ("tcp/80",)


def test_a_node_is_added_before_groups_that_move() -> None:
    rules = "rules: [{from: web, to: db, ports: '@web'}]"
    text = policy(f"\n  groups: {{web: tcp/80}}\n  {rules}").encode()
    added = add(text, "krait.yaml", Newcomer("new", bytes([9]) * 32, ("web",)))
    assert added.document.policy.groups[0].mark.line == 6
