# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from krait.policy import expectations
from krait.policy.document import load
from krait.policy.evaluate import decide_all
from krait.policy.expectations import Failure, run, untested_denies
from krait.policy.explain import every_open
from krait.policy.model import Document, PolicyTest
from krait.policy.owners import principals, senders
from tests.documents import key
from tests.strategies.documents import NOWHERE, SPANS, names_of, selectors
from tests.strategies.worlds import worlds

RULES = """
    - {name: web-to-db, from: web, to: db, ports: [tcp/5432, icmp]}
    - {name: no-ssh, from: "*", to: db, ports: tcp/22, action: deny}
    - {name: admin, from: admin, to: "*"}
    - {name: lan, from: lan, to: web2, ports: tcp/80}
    - {name: ping, from: db, to: lan, ports: icmp}
    - {name: words, from: lan, to: admin, ports: [tcp, udp, icmp]}
"""


def run_one(test: str) -> tuple[Failure, ...]:
    text = f"""nodes:
  db1: {{public_key: "{key(1)}", tags: [db]}}
  web1: {{public_key: "{key(2)}", tags: [web], routes: [{{cidr: 10.1.0.0/16, tags: [lan]}}]}}
  web2: {{public_key: "{key(3)}", tags: [web], routes: [10.2.0.0/16]}}
  root: {{public_key: "{key(4)}", tags: [admin]}}
policy:
  default: deny
  rules:{RULES}  tests:
    - {test}
"""
    return run(load(text.encode(), "krait.yaml"))


HOLDS = [
    "{from: web, to: db, port: tcp/5432, expect: allow}",
    "{from: web, to: db, port: icmp, expect: allow}",
    "{from: web, to: db, port: tcp/5433-5500, expect: deny}",
    "{from: web1, to: db1, port: tcp/22, expect: deny}",
    "{from: db, to: web, expect: deny}",
    "{from: web, to: web, expect: deny}",
    "{from: admin, to: web, expect: allow}",
    "{from: admin, to: [web, lan], expect: allow}",
    "{from: '*', to: db, port: tcp/22, expect: deny}",
    "{from: lan, to: web2, port: tcp/80, expect: allow}",
    "{from: lan, to: db, expect: deny}",
    "{from: web2, to: web1, expect: deny}",  # no rule names web2; the test may
]

FAILS = {
    "{from: web, to: db, port: tcp/22, expect: allow}": (
        'web1 to db1, tcp/22: expected allowed, but rule "no-ssh" in line 10 denies it'
    ),
    "{from: web, to: db, port: tcp/5432-5433, expect: allow}": (
        "web1 to db1, tcp/5432-5433: expected allowed, but "
        "no rule matches, and the default denies it"
    ),
    "{from: web, to: db, expect: allow}": (
        "web1 to db1, tcp/0-21: expected allowed, but no rule matches, and the default denies it"
    ),
    "{from: web, to: db, expect: deny}": (
        'web1 to db1, tcp/5432: expected denied, but rule "web-to-db" in line 9 allows it'
    ),
    "{from: admin, to: db, expect: allow}": (
        'root to db1, tcp/22: expected allowed, but rule "no-ssh" in line 10 denies it'
    ),
    "{from: lan, to: web, port: tcp/80, expect: deny}": (
        "10.1.0.0/16 behind web1 to web2, tcp/80: expected denied, but "
        'rule "lan" in line 12 allows it'
    ),
    "{from: web, to: '*', port: tcp/80, expect: allow}": (
        "web1 to db1, tcp/80: expected allowed, but no rule matches, and the default denies it"
    ),
    "{from: db, to: lan, expect: deny}": (
        "db1 to 10.1.0.0/16 behind web1, icmp4: expected denied, but "
        'rule "ping" in line 13 allows it'
    ),
    "{from: lan, to: admin, expect: allow}": (
        "10.1.0.0/16 behind web1 to root, every other protocol: expected allowed, but "
        "no rule matches, and the default denies it"
    ),
    "{from: db, to: db, expect: deny}": "no pair of principals is from db to db",
    "{from: {all: [web, db]}, to: db, expect: deny}": (
        "no pair of principals is from {all: [web, db]} to db"
    ),
}


@pytest.mark.parametrize("test", HOLDS)
def test_what_the_rules_say_holds(test: str) -> None:
    assert run_one(test) == ()


@pytest.mark.parametrize(("test", "message"), FAILS.items(), ids=FAILS.keys())
def test_what_they_do_not_say_fails_with_the_pair_and_the_deciding_rule(
    test: str, message: str
) -> None:
    (failure,) = run_one(test)
    assert failure.message == f"krait.yaml:16:7: {message}"


def test_a_failure_names_the_pair_and_holds_the_decision() -> None:
    (failure,) = run_one("{from: web, to: db, port: tcp/22, expect: allow}")
    assert (failure.source, failure.destination) == ("web1", "db1")
    assert failure.decision is not None
    assert failure.decision.rule is not None
    assert failure.decision.rule.name == "no-ssh"


def test_two_members_of_one_identity_are_a_pair_of_distinct_principals() -> None:
    assert run_one("{from: web2, to: web, expect: deny}") == ()


def test_a_test_that_holds_goes_through_sets_of_rules_and_not_through_nodes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of nodes that differ, but not to the rules, there may be thousands, and as many squared."""

    def one_by_one(*_: object) -> None:
        raise AssertionError("pairs of principals are looked at")

    monkeypatch.setattr(expectations, "_distinct", one_by_one)
    assert run_one("{from: '*', to: db, port: tcp/22, expect: deny}") == ()
    with pytest.raises(AssertionError):
        run_one("{from: '*', to: db, port: tcp/22, expect: allow}")


def test_where_no_port_matters_none_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def looked(*_: object) -> None:
        raise AssertionError("ports are looked at")

    monkeypatch.setattr(expectations, "decide_all", looked)
    assert run_one("{from: admin, to: web, expect: allow}") == ()  # by a rule without ports
    assert run_one("{from: db, to: web, expect: deny}") == ()  # by the default
    with pytest.raises(AssertionError):
        run_one("{from: web, to: db, expect: deny}")


def run_at_hub(test: str) -> tuple[Failure, ...]:
    text = f"""nodes:
  hub: {{public_key: "{key(1)}", tags: [server], transit: true}}
  tablet: {{tags: [thing], via: hub}}
  tv: {{tags: [thing], via: hub}}
  spoke: {{public_key: "{key(2)}", tags: [thing], via: hub}}
  printer: {{via: hub}}
policy:
  rules:
    - {{name: things, from: thing, to: server, ports: tcp/80}}
    - {{name: print, from: printer, to: server}}
  tests:
    - {test}
"""
    return run(load(text.encode(), "krait.yaml"))


@pytest.mark.parametrize(
    "test",
    [
        "{from: printer, to: hub, expect: allow}",
        "{from: hub, to: printer, expect: deny}",
        "{from: tablet, to: tv, expect: deny}",
        "{from: [tablet, tv], to: [hub, printer], port: tcp/80, expect: allow}",
    ],
)
def test_a_test_of_a_hub_and_who_has_no_key_there_fails_with_a_mend(test: str) -> None:
    (failure,) = run_at_hub(test)
    assert failure.source is None
    assert "no pair of principals is from" in failure.message
    assert failure.message.endswith(
        "; all are on hub or behind it, so nothing they say passes the tunnel: take the test out"
    )


@pytest.mark.parametrize(
    ("test", "pair"),
    [
        ("{from: thing, to: server, port: tcp/80, expect: deny}", ("spoke", "hub")),
        ("{from: thing, to: thing, port: tcp/80, expect: allow}", ("tablet", "spoke")),
    ],
)
def test_a_test_of_tags_is_judged_by_those_whom_the_tunnel_leads_to(
    test: str, pair: tuple[str, str]
) -> None:
    (failure,) = run_at_hub(test)
    assert (failure.source, failure.destination) == pair
    wrong, right = ("deny", "allow") if "deny" in test else ("allow", "deny")
    assert run_at_hub(test.replace(wrong, right)) == ()


def plainly(document: Document) -> list[tuple[str | None, str | None]]:
    """The first pair that breaks each test, by asking the reference about every pair."""
    everyone = principals(document)
    broken: list[tuple[str | None, str | None]] = []
    for test in document.policy.tests:
        sources, destinations = (
            {each.identity: [o for o in chosen if o.identity == each.identity] for each in chosen}
            for side, some in ((test.sources, senders(everyone)), (test.destinations, everyone))
            for chosen in [[owner for owner in some if side.selects(owner.names)]]
        )
        pairs = [
            next(((a, b) for a in some for b in others if a.node != b.node), None)
            for some in sources.values()
            for others in destinations.values()
        ]
        distinct = [pair for pair in pairs if pair]
        wrong = (
            (a.name, b.name)
            for a, b in distinct
            for each in decide_all(
                document.policy, a.identity, b.identity, test.ports or every_open(document.policy)
            )
            if each.decision.allows != test.allows
        )
        found = next(wrong, None)
        if found or not distinct:
            broken.append(found or (None, None))
    return broken


@st.composite
def with_tests(draw: st.DrawFn) -> Document:
    """A document with tests; some nodes are copies of others, so that many are alike."""
    document = draw(worlds()).document
    nodes = document.nodes
    copies = tuple(
        replace(node, name=f"{node.name}-{number}", public_key=None, addresses=(), routes=())
        for number in range(draw(st.integers(0, 3)))
        for node in nodes
    )
    names = [*names_of(document.named), *names_of(copies)]
    tests = draw(
        st.lists(
            st.builds(
                PolicyTest,
                selectors(names),
                selectors(names),
                st.sampled_from(((), (SPANS[0],), (SPANS[1], SPANS[6]))),
                st.just(""),
                st.booleans(),
                st.just(NOWHERE),
            ),
            max_size=4,
        )
    )
    return replace(
        document, nodes=(*nodes, *copies), policy=replace(document.policy, tests=tuple(tests))
    )


@settings(max_examples=100, deadline=None)
@given(with_tests())
def test_a_test_fails_for_the_pair_that_the_reference_finds_first(document: Document) -> None:
    assert [(each.source, each.destination) for each in run(document)] == plainly(document)


@settings(max_examples=100)
@given(with_tests())
def test_a_deny_is_untested_if_it_decides_nothing_that_a_test_expects_denied(
    document: Document,
) -> None:
    policy, everyone = document.policy, principals(document)
    deciding = [
        each.decision.rule
        for test in policy.tests
        if not test.allows
        for a in senders(everyone)
        for b in everyone
        if a.node != b.node and test.sources.selects(a.names) and test.destinations.selects(b.names)
        for each in decide_all(policy, a.identity, b.identity, test.ports or every_open(policy))
    ]
    assert untested_denies(document) == tuple(
        rule for rule in policy.rules if not rule.allows and not rule.audit and rule not in deciding
    )
