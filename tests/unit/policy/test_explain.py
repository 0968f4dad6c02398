# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from krait.common.errors import UsageError
from krait.policy.document import load
from krait.policy.evaluate import decide_all
from krait.policy.explain import Verdict, every_open, explain
from krait.policy.model import PortSpan
from tests.documents import key

EXAMPLE = load((Path(__file__).parents[3] / "examples" / "small.yaml").read_bytes(), "small.yaml")

DEFAULT = "no rule matches, and the default denies"

ANSWERS = {
    ("web1", "db1", "tcp/5432"): [
        (("tcp/5432",), True, 'rule "web-to-db" in line 35 allows'),
    ],
    ("web1", "db1", None): [
        (("tcp/22",), False, 'rule "no-ssh-to-db" in line 39 denies'),
        (("tcp/5432", "icmp"), True, 'rule "web-to-db" in line 35 allows'),
        (("udp/8000-8100",), True, 'rule "prod-metrics" in line 36 allows'),
        (("everything else",), False, DEFAULT),
    ],
    ("laptop", "web2", None): [
        (("everything",), True, 'rule "admin-everywhere" in line 37 allows'),
    ],
    ("10.8.0.10", "fd7a:6b72::1", "tcp/21-23"): [
        (("tcp/21", "tcp/23"), True, 'rule "admin-everywhere" in line 37 allows'),
        (("tcp/22",), False, 'rule "no-ssh-to-db" in line 39 denies'),
    ],
    ("10.20.0.77", "web2", "tcp/80"): [
        (("tcp/80",), True, 'rule "office-to-web" in line 38 allows'),
    ],
    ("10.20.0.0/24", "web2", "tcp/80"): [
        (("tcp/80",), True, 'rule "office-to-web" in line 38 allows'),
    ],
    ("db1", "web1", "icmp"): [(("icmp",), False, DEFAULT)],
}


@pytest.mark.parametrize("question", ANSWERS, ids=str)
def test_an_answer_names_the_rule_and_line_behind_each_row(
    question: tuple[str, str, str | None],
) -> None:
    answer = explain(EXAMPLE, *question)
    rows = [(row.what, row.decision.allows, answer.reason(row.decision)) for row in answer.rows]
    assert rows == ANSWERS[question]


@pytest.mark.parametrize(
    ("question", "verdict"),
    [
        (("web1", "db1", "tcp/5432"), Verdict.ALLOWED),
        (("web1", "db1", "tcp/22"), Verdict.DENIED),
        (("web1", "db1", None), Verdict.MIXED),
        (("laptop", "web1", None), Verdict.ALLOWED),
        (("db1", "laptop", None), Verdict.DENIED),
    ],
)
def test_the_verdict_is_mixed_where_only_a_part_may_open(
    question: tuple[str, str, str | None], verdict: Verdict
) -> None:
    assert explain(EXAMPLE, *question).verdict is verdict


def test_others_that_matched_and_audit_rules_are_listed() -> None:
    (row,) = explain(EXAMPLE, "laptop", "db1", "tcp/22").rows
    assert [rule.name for rule in row.decision.others] == ["admin-everywhere"]
    (row,) = explain(EXAMPLE, "web1", "web2", "tcp/80").rows
    assert [rule.name for rule in row.decision.audit] == ["trial-no-web-to-web"]


def test_a_subnet_without_tags_is_denied_under_every_default() -> None:
    text = EXAMPLE_WITH_PLAIN_ROUTE.encode()
    answer = explain(load(text, "krait.yaml"), "10.1.0.5", "b")
    assert answer.verdict is Verdict.DENIED
    assert answer.reason(answer.rows[0].decision) == (
        "10.1.0.0/16 behind a has no tags, so nothing passes"
    )


def test_a_rejection_is_said_to_be_one() -> None:
    text = (Path(__file__).parents[3] / "examples" / "small.yaml").read_text()
    document = load(text.replace("action: deny", "action: reject").encode(), "small.yaml")
    answer = explain(document, "web1", "db1", "tcp/22")
    assert answer.verdict is Verdict.DENIED
    assert [answer.reason(row.decision) for row in answer.rows] == [
        'rule "no-ssh-to-db" in line 39 rejects'
    ]


def test_the_longest_prefix_decides_whom_an_address_means() -> None:
    document = load(EXAMPLE_WITH_PLAIN_ROUTE.encode(), "krait.yaml")
    assert explain(document, "10.1.2.3", "b").source.name == "10.1.2.0/24 behind a"
    assert explain(document, "10.1.2.9", "b").source.name == "c"


EXAMPLE_WITH_PLAIN_ROUTE = """
nodes:
  a:
    public_key: "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
    routes: [10.1.0.0/16, {cidr: 10.1.2.0/24, tags: [lan]}]
  b: {public_key: "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="}
  c: {public_key: "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=", address: 10.1.2.9}
policy: {default: allow}
"""

UNKNOWN = {
    ("web3", "db1"): ('small.yaml has no node "web3"', 'did you mean "web2"?'),
    ("web", "db1"): ('"web" is a tag, not a node', "name one that has it: web1"),
    ("office", "db1"): ('"office" is a tag, not a node', "name one that has it: 10.20.0.0/24"),
    ("10.20.0.0/25", "db1"): (
        "small.yaml has no subnet 10.20.0.0/25",
        "write one as `routes` of its node has it, or ask about an address",
    ),
    ("10.20.0.1/24", "db1"): ('"10.20.0.1/24" has host bits set', "write `10.20.0.0/24`"),
    ("10.8.0.99", "db1"): (
        "small.yaml gives 10.8.0.99 to nobody",
        "name a node instead, if only the interface knows its addresses",
    ),
    ("web1", "10.20.0.4"): (
        "web1 and 10.20.0.0/24 behind web1 are on the same side of the tunnel",
        "what stays on one node, or behind it, never passes a filter of Krait",
    ),
    ("web1", "10.8.0.2"): (
        "web1 and web1 are on the same side of the tunnel",
        "what stays on one node, or behind it, never passes a filter of Krait",
    ),
}


@pytest.mark.parametrize("question", UNKNOWN, ids=str)
def test_who_is_unknown_is_said_with_a_suggestion(question: tuple[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        explain(EXAMPLE, *question)
    assert (caught.value.message, caught.value.hint) == UNKNOWN[question]


LAN_OF_A_HUB = f"""
nodes:
  hub: {{public_key: "{key(1)}", transit: true, routes: [{{cidr: 10.1.0.0/24, tags: [lan]}}]}}
  spoke: {{public_key: "{key(2)}", via: hub}}
  printer: {{via: hub, address: 10.8.0.7, routes: [{{cidr: 10.7.0.0/24, tags: [lan]}}]}}
  camera: {{via: hub}}
policy: {{default: allow}}
"""


@pytest.mark.parametrize(
    ("question", "keyless"),
    [
        (("hub", "printer"), "printer"),
        (("10.8.0.7", "hub"), "printer"),
        (("printer", "camera"), "printer"),
        (("camera", "10.1.0.0/24"), "camera"),
        (("hub", "10.7.0.0/24"), "10.7.0.0/24 behind printer"),
        (("printer", "10.7.0.0/24"), "printer"),
    ],
    ids=str,
)
def test_who_has_no_key_is_on_the_side_of_its_hub(question: tuple[str, str], keyless: str) -> None:
    with pytest.raises(UsageError, match="are on the same side of the tunnel") as caught:
        explain(load(LAN_OF_A_HUB.encode(), "krait.yaml"), *question)
    assert caught.value.hint is not None
    assert caught.value.hint.startswith(f"{keyless} has no key and is behind hub; what stays on")


@pytest.mark.parametrize("question", [("spoke", "hub"), ("spoke", "printer"), ("camera", "spoke")])
def test_who_has_a_key_is_reached_by_the_tunnel_of_its_hub(question: tuple[str, str]) -> None:
    answer = explain(load(LAN_OF_A_HUB.encode(), "krait.yaml"), *question)
    assert answer.verdict is Verdict.ALLOWED


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown protocol"):
        explain(EXAMPLE, "web1", "db1", "http")


@pytest.mark.parametrize(("source", "to"), [("web1", "db1"), ("laptop", "db1"), ("web1", "web2")])
def test_asking_for_every_open_is_asking_for_every_protocol(source: str, to: str) -> None:
    """One protocol stands for all that no rule names."""
    who = explain(EXAMPLE, source, to)
    policy, ends = EXAMPLE.policy, (who.source.identity, who.destination.identity)
    every = every_open(policy)
    short = decide_all(policy, *ends, every)
    named = {span.protocol for span in every}
    rest = {s.decision for s in decide_all(policy, *ends) if s.protocol not in named}
    assert rest == {s.decision for s in short if s.protocol == every[-1].protocol}
    assert PortSpan(1, 0, 255) in every


def test_types_of_icmp_and_protocols_by_number_are_told_apart() -> None:
    rules = """
    - {name: ping, from: web, to: db, ports: icmp/echo}
    - {name: clock, from: web, to: db, ports: [icmp4/13, ip/47, ip/200]}
    - {name: no-probe, from: web, to: db, ports: icmp6/139, action: deny}
"""
    nodes = f"w: {{public_key: {key(1)}, tags: web}}, d: {{public_key: {key(2)}, tags: db}}"
    text = f"nodes: {{{nodes}}}\npolicy:\n  rules:{rules}"
    document = load(text.encode(), "test.yaml")
    rows = {row.what: row.decision for row in explain(document, "w", "d").rows}
    names = {what: each.rule and each.rule.name for what, each in rows.items()}
    assert names == {
        ("icmp/echo",): "ping",
        ("icmp4/13", "gre", "ip/200"): "clock",
        ("icmp6/139",): "no-probe",
        ("everything else",): None,
    }
