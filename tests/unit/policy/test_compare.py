# SPDX-License-Identifier: Apache-2.0
"""What another document would change, told in rows, against each pair asked one by one."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from krait.common.abi import PairClass
from krait.policy.alike import Group
from krait.policy.compare import Comparison, Without, compare
from krait.policy.document import load
from krait.policy.evaluate import Decision, decide
from krait.policy.model import ICMP4, ICMP6, SCTP, TCP, UDP, Document, Labels, Policy
from krait.policy.owners import Owner, principals
from krait.policy.pair import pair_class
from krait.policy.ports import OTHER_PROTOCOL
from tests.documents import key
from tests.strategies.documents import GRE, MESHES, actions, names_of, nodes_of, rarely, rules
from tests.strategies.worlds import World, later, worlds
from tests.unit.policy.bench import document

UNNAMED = 200
PORTS = (0, 1, 21, 22, 23, 52, 53, 54, 79, 80, 84, 85, 90, 91, 100, 101, 8000, 8100, 8101, 0xFFFF)
TYPES = (0, 7, 8, 9, 13, 127, 128, 129, 0xFF)
OPENS = [*product((TCP, UDP, SCTP), PORTS), *product((ICMP4, ICMP6), TYPES), (GRE, 0), (UNNAMED, 0)]


@st.composite
def edits(draw: st.DrawFn) -> tuple[Document, Document]:
    """A document and what became of it: a change or two, or another document altogether."""
    world = draw(worlds())
    if draw(rarely):
        nodes = draw(nodes_of(tuple(map(ip_network, MESHES[0]))))
        policy = Policy(draw(actions(rarely)), False, draw(rules(names_of(nodes))), ())
        return world.document, replace(world.document, nodes=nodes, policy=policy)
    after = draw(later(draw(later(world))))
    nodes = after.document.nodes
    if draw(rarely):
        nodes = tuple(node for node in nodes if node is not draw(st.sampled_from(nodes)))
    before, now = world, World(replace(after.document, nodes=nodes), after.interface)
    both = before.document, now.document
    return both[::-1] if draw(rarely) else both


@settings(max_examples=100, deadline=None)
@given(edits())
def test_rows_hold_what_opens_and_closes_and_nothing_else(both: tuple[Document, Document]) -> None:
    found = compare(*both)
    told = list(_told(found))
    assert len(told) == len(set(told)), "nothing is told twice"
    expected = set(_asked(*both))
    there = {(*pair, *what) for *pair, what in expected}
    same_node = _same_node(*both)
    assert {each for each in told if frozenset(each[:2]) not in same_node} == there


@settings(max_examples=100, deadline=None)
@given(edits())
def test_each_row_names_what_decides(both: tuple[Document, Document]) -> None:
    before, now = both
    identities = [{owner.name: owner.identity for owner in principals(each)} for each in both]
    for row in compare(*both).rows:
        for source, destination in product(_names(row.sources), _names(row.destinations)):
            for span in row.spans:
                for port in {span.low, span.high}:
                    was, it_is = (
                        decide(
                            each.policy,
                            known.get(source),
                            known.get(destination),
                            span.protocol,
                            port,
                        )
                        for each, known in zip((before, now), identities, strict=True)
                    )
                    assert (was.allows, it_is.allows) == (not row.opens, row.opens)
                    ends = source, destination
                    assert _cause(it_is, [identities[1].get(each) for each in ends]) == row.now
                    assert _cause(was, [identities[0].get(each) for each in ends]) in row.before


@settings(max_examples=100, deadline=None)
@given(edits())
def test_pairs_that_are_judged_in_another_way_are_told(both: tuple[Document, Document]) -> None:
    before, now = both
    were, are = ({owner.name: owner.identity for owner in principals(each)} for each in both)
    told = {
        (frozenset((a, b)), change.before, change.now)
        for change in compare(*both).classes
        for a, b in product(_names(change.some), _names(change.others))
        if frozenset((a, b)) not in _same_node(*both)
    }
    expected, silent = set(), {group.name for each in both for group in each.multicast}
    for a, b in product(were.keys() & are.keys(), repeat=2):
        if frozenset((a, b)) not in _same_node(*both) and not {a, b} <= silent:
            classes = _class(before, were[a], were[b]), _class(now, are[a], are[b])
            if classes[0] != classes[1]:
                expected.add((frozenset((a, b)), *classes))
    assert told == expected


@settings(max_examples=100, deadline=None)
@given(edits())
def test_nothing_changes_from_a_document_to_itself(both: tuple[Document, Document]) -> None:
    assert all(compare(each, each).is_empty for each in both)
    there, back = compare(*both), compare(*reversed(both))
    assert (there.opening, there.closing) == (back.closing, back.opening)


def test_a_rule_that_goes_is_one_row_by_its_selectors() -> None:
    rule = "    - {name: web-db, from: web, to: db, ports: [tcp/80, udp/53, icmp]}\n"
    found = compare(document(), document((rule, "")))
    (row,) = found.rows
    assert not row.opens
    assert [each.now for each in row.sources] == [frozenset({"web"})]
    assert [(s.protocol, s.low, s.high) for s in row.spans] == [
        (TCP, 80, 80),
        (UDP, 53, 53),
        (ICMP4, 0, 0xFF),
        (ICMP6, 0, 0xFF),
    ]
    assert row.now is Without.DEFAULT
    assert [getattr(each, "name", each) for each in row.before] == ["web-db"]
    assert (found.opening, found.closing) == (0, 1)


def test_a_rule_that_is_turned_round_closes_what_it_opened() -> None:
    out = "{name: app-out, from: db, to: app"
    (row,) = compare(document(), document((out, f"{out}, action: deny"))).rows
    ends = _names(row.sources), _names(row.destinations)
    assert (row.opens, *ends) == (False, ("db1",), ("app1",))
    assert getattr(row.now, "name", row.now) == "app-out"


def test_ports_side_by_side_are_one_span_whatever_rules_they_had() -> None:
    peers = "    - {name: peers, from: web, to: app}\n"
    low, high = (peers.replace("app", f"app, ports: {each}") for each in ("tcp/1-9", "tcp/10"))
    before = document((peers, low + high.replace("peers", "more")))
    (row,) = compare(before, document((peers, ""))).rows
    assert [(span.low, span.high) for span in row.spans] == [(1, 10)]
    assert [getattr(each, "name", each) for each in row.before] == ["peers", "more"]


def test_between_a_hub_and_who_has_no_key_there_nothing_opens() -> None:
    def with_rule(rule: str) -> Document:
        hub = f'hub: {{public_key: "{key(1)}", transit: true}}'
        spoke = f'spoke: {{public_key: "{key(2)}", via: hub}}'
        nodes = f"nodes:\n  {hub}\n  {spoke}\n  printer: {{via: hub}}\n  camera: {{via: hub}}\n"
        return load(f"{nodes}policy: {{rules: [{rule}]}}\n".encode(), "krait.yaml")

    before = with_rule("{name: own, from: spoke, to: [hub, printer, camera]}")
    now = with_rule("{name: own, from: [spoke, camera], to: [hub, printer, camera]}")
    found = compare(before, now)
    assert not [row for row in found.rows if _names(row.sources) != ("spoke",)]
    assert (found.opening, found.closing) == (0, 0)


def test_names_order_audit_and_tests_of_rules_change_nothing() -> None:
    web_in, app_in = (
        "    - {name: app-in, from: app, to: db}\n",
        "    - {name: app-out, from: db, to: app}\n",
    )
    found = compare(
        document(),
        document(
            (web_in + app_in, app_in + web_in.replace("app-in", "called-otherwise")),
            ("    - {name: trial,", "    - {name: tried, audit: true, from: app, to: lan}\n#"),
        ),
    )
    assert found.is_empty


def test_a_newcomer_opens_what_its_tags_let_it() -> None:
    entry = "  app2: {public_key: 'BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ=', tags: [app]}\n"
    found = compare(document(), document(("policy:\n", f"{entry}policy:\n")))
    assert [node.name for node in found.settings.came] == ["app2"]
    assert all(row.opens for row in found.rows)
    ends = {(_names(row.sources), _names(row.destinations)) for row in found.rows}
    assert ends == {(("web1",), ("app2",)), (("app2",), ("db1",)), (("db1",), ("app2",))}
    assert {cause for row in found.rows for cause in row.before} == {Without.ABSENT}
    assert found.classes == ()


def test_what_a_node_is_beside_its_tags_is_told() -> None:
    now = document(
        ("    tags: [db]\n", "    tags: [db]\n    transit: true\n    guard: false\n"),
        ("tags: [branch]}, 10.21.0.0/24", "tags: [branch]}"),
        ("policy:\n", "policy:\n  strict: true\n  guard: true\n"),
    )
    found = compare(document(), now)
    assert [(each.name, each.fields) for each in found.settings.changed] == [
        ("db1", ("transit", "guard")),
        ("web1", ("routes",)),
    ]
    assert found.settings.other == ("strict", "guard")


def test_that_who_is_denied_is_told_now_is_a_change() -> None:
    rule = "    - {{name: no, from: web, to: app, action: {}}}\n"
    before = document(("  rules:\n", f"  rules:\n{rule.format('deny')}"))
    told = "  default: reject\n  reject_ingress: true\n  rules:\n"
    found = compare(before, document(("  rules:\n", f"{told}{rule.format('reject')}")))
    assert found.settings.other == ("reject_ingress", "default", "action")
    assert found.settings.differ
    assert not found.is_empty
    assert found.rows == (), "what has no identity may open nothing, there or not"


def test_a_rule_that_adds_nothing_makes_a_free_pair_remembered() -> None:
    more = "    - {name: more, from: app, to: db, ports: tcp/80}\n"
    found = compare(document(), document(("  rules:\n", f"  rules:\n{more}")))
    assert found.rows == ()
    (change,) = found.classes
    assert (change.before, change.now) == (PairClass.ALLOW_STATELESS, PairClass.STATEFUL)
    assert {_names(change.some), _names(change.others)} == {("app1",), ("db1",)}
    assert not found.is_empty


def test_a_free_pair_is_remembered_once_its_rule_has_an_end() -> None:
    rule = "{name: peers, from: web, to: app"
    back = "    - {name: back, from: app, to: web}\n"
    free = document(("  rules:\n", f"  rules:\n{back}"))
    ends = document(
        ("  rules:\n", f"  rules:\n{back}"), (rule, f"{rule}, until: 2100-01-01T00:00Z")
    )
    found = compare(free, ends)
    assert found.rows == ()
    (change,) = found.classes
    assert (change.before, change.now) == (PairClass.ALLOW_STATELESS, PairClass.STATEFUL)


def test_two_on_one_node_are_no_pair() -> None:
    text = "nodes: {a: {via: b, tags: [t], routes: [{cidr: 10.1.0.0/24, tags: [lan]}]}, b: %s}\n"
    hub = f'{{public_key: "{key(1)}", transit: true}}'
    rule = "policy: {rules: [{from: t, to: lan}]}\n"
    before, now = (load((text % hub + each).encode(), "t.yaml") for each in ("policy: {}\n", rule))
    assert compare(before, now).is_empty


def _told(found: Comparison) -> Iterator[tuple[str, str, bool, int, int]]:
    named = {span.protocol for span in found.opens}
    for row in found.rows:
        for source, destination in product(_names(row.sources), _names(row.destinations)):
            for span in row.spans:
                for protocol, port in OPENS:
                    is_named = protocol in named
                    if span.holds(*((protocol, port) if is_named else (OTHER_PROTOCOL, 0))):
                        yield source, destination, row.opens, protocol, port


def _asked(before: Document, now: Document) -> Iterator[tuple[str, str, tuple[bool, int, int]]]:
    were, are = ({owner.name: owner for owner in principals(each)} for each in (before, now))
    everyone = were | are
    same_node = _same_node(before, now)
    for a, b in product(everyone.values(), repeat=2):
        if frozenset((a.name, b.name)) not in same_node and a.sends:
            for protocol, port in OPENS:
                was, it_is = (
                    decide(
                        each.policy,
                        _identity(known, a),
                        _identity(known, b),
                        protocol,
                        port,
                    ).allows
                    for each, known in ((before, were), (now, are))
                )
                if was != it_is:
                    yield a.name, b.name, (it_is, protocol, port)


def _identity(known: dict[str, Owner], who: Owner) -> Labels | None:
    return known[who.name].identity if who.name in known else None


def _same_node(before: Document, now: Document) -> set[frozenset[str]]:
    """Those that are on one node all the while, and each with itself."""
    were, are = ({owner.name: owner.node for owner in principals(each)} for each in (before, now))
    moves = {name: {**are, **were}[name] + {**were, **are}[name] for name in were | are}
    return {frozenset((a, b)) for a, b in product(moves, repeat=2) if moves[a] == moves[b]}


def _names(groups: tuple[Group, ...]) -> tuple[str, ...]:
    return tuple(name for group in groups for name in group.members)


def _cause(decision: Decision, ends: list[Labels | None]) -> object:
    return Without.ABSENT if None in ends else decision.rule or Without.DEFAULT


def _class(document: Document, a: Labels | None, b: Labels | None) -> PairClass:
    assert a is not None
    assert b is not None
    found = pair_class(document.policy, a, b)
    return PairClass.STATEFUL if found is PairClass.ENDING else found
