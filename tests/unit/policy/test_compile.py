# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from ipaddress import ip_interface

import pytest
from hypothesis import given

from krait.common.abi import MAX_RULES, PairClass, SelfFlag
from krait.policy.compile import check_size, compile_policy
from krait.policy.model import (
    TCP,
    Action,
    Document,
    Labels,
    Mark,
    Node,
    Policy,
    PortSpan,
    Rule,
    Selector,
)
from krait.policy.pairing import PolicyTooLarge
from krait.policy.view import Interface, resolve
from tests.strategies.documents import key
from tests.strategies.worlds import World, worlds

NOWHERE = Mark(1, 1)
A, B = frozenset({"a"}), frozenset({"b"})


def node(name: str, tags: Labels, *, transit: bool = False) -> Node:
    return Node(name, key(name), tags, (), (), None, None, transit, None, NOWHERE)


def rule(number: int, ports: tuple[PortSpan, ...], name: str | None = None) -> Rule:
    a, b = Selector((A,), "a"), Selector((B,), "b")
    return Rule(number, name or f"r{number}", a, b, ports, Action.ALLOW, audit=False, mark=NOWHERE)


def document(rules: tuple[Rule, ...], nodes: tuple[Node, ...] = ()) -> Document:
    nodes = nodes or (node("x", A), node("y", B))
    return Document("big.yaml", None, None, None, nodes, Policy(Action.DENY, False, rules, ()))


def interface(name: str) -> Interface:
    return Interface(key(name), (ip_interface("10.8.0.1/24"),), ())


def test_more_port_intervals_than_the_kernels_list_holds_are_refused() -> None:
    fits = document((rule(1, tuple(PortSpan(TCP, 2 * i, 2 * i) for i in range(1023))),))
    check_size(fits)
    large = document((rule(1, tuple(PortSpan(TCP, 2 * i, 2 * i) for i in range(1024))),))
    with pytest.raises(PolicyTooLarge, match="1024 port intervals") as refused:
        check_size(large)
    assert "join ports to ranges" in refused.value.hint
    with pytest.raises(PolicyTooLarge):
        compile_policy(large, resolve(large, interface("x")))


def test_who_is_told_of_a_denial_goes_by_the_rules_numbers() -> None:
    rules = (
        replace(rule(1, ()), action=Action.DENY),
        replace(rule(2, ()), action=Action.REJECT),
        replace(rule(3, ()), until=9),
    )
    plain = document(rules[:1])
    compiled = compile_policy(plain, resolve(plain, interface("x")))
    assert compiled.rejecting == ()
    assert not compiled.flags & SelfFlag.REJECTS
    mixed = document(rules)
    compiled = compile_policy(mixed, resolve(mixed, interface("x")))
    assert compiled.numbers.rules == ("r1", "r2", "r3")
    assert compiled.rejecting == (False, False, True, False)
    assert compiled.flags & SelfFlag.REJECTS
    assert not compiled.flags & SelfFlag.REJECT_INGRESS
    policy = replace(mixed.policy, default=Action.REJECT, reject_ingress=True)
    mixed = replace(mixed, policy=policy)
    compiled = compile_policy(mixed, resolve(mixed, interface("x")))
    assert compiled.rejecting == (True, False, True, True)
    assert compiled.flags & SelfFlag.REJECT_INGRESS


def test_more_rules_than_the_kernel_numbers_are_refused_where_they_concern_one_node() -> None:
    many = document(tuple(rule(i, (), f"r{i}") for i in range(1, MAX_RULES + 1)))
    for refusing in (
        lambda: check_size(many),
        lambda: compile_policy(many, resolve(many, interface("x"))),
    ):
        with pytest.raises(PolicyTooLarge, match="32,768 rules concern one node"):
            refusing()


def test_rules_that_do_not_concern_a_node_get_no_number_there() -> None:
    three = document((rule(1, ()),), (node("x", A), node("y", B), node("z", frozenset({"c"}))))
    assert compile_policy(three, resolve(three, interface("x"))).numbers.rules == ("r1",)
    assert compile_policy(three, resolve(three, interface("z"))).numbers.rules == ()


def test_a_hub_of_more_identities_than_its_triangle_holds_is_refused() -> None:
    nodes = tuple(node(f"n{i}", frozenset({f"t{i}"})) for i in range(2049))
    many = document((), (replace(nodes[0], transit=True), *nodes[1:]))
    for refusing in (
        lambda: check_size(many),
        lambda: compile_policy(many, resolve(many, interface("n0"))),
    ):
        with pytest.raises(PolicyTooLarge, match="a hub of 2,049 identities"):
            refusing()
    leaf = document((), nodes)
    check_size(leaf)
    assert len(compile_policy(leaf, resolve(leaf, interface("n0"))).rows) == 1


def test_a_leaf_that_becomes_a_hub_is_not_refused_for_those_who_left() -> None:
    nodes = tuple(node(f"n{i}", frozenset({f"t{i}"})) for i in range(2049))
    leaf = document((), nodes)
    known = compile_policy(leaf, resolve(leaf, interface("n0"))).numbers
    hub = document((), (replace(nodes[0], transit=True), *nodes[1:-1]))
    assert len(compile_policy(hub, resolve(hub, interface("n0")), known).rows) == 2048


@given(worlds())
def test_a_leaf_has_a_row_for_what_it_stands_for_and_a_hub_for_all(world: World) -> None:
    compiled = compile_policy(world.document, world.view)
    columns = len(compiled.numbers.identities)
    if world.view.transit:
        assert [len(row) for row in compiled.rows.values()] == list(range(1, columns + 1))
    else:
        assert all(len(row) == columns for row in compiled.rows.values())
        here = {each.identity for each in compiled.principals if each.peer == 0 and each.identity}
        assert set(compiled.rows) == here


def test_audit_rules_leave_no_trace_in_the_pairs() -> None:
    audited = replace(rule(1, ()), audit=True)
    compiled = compile_policy(document((audited,)), resolve(document((audited,)), interface("x")))
    classes = {pair.verdict_class for row in compiled.rows.values() for pair in row}
    assert classes == {PairClass.DENY_BOTH}


def test_with_audit_rules_the_shadow_has_the_pairs_that_they_would_make() -> None:
    audited, plain = replace(rule(1, ()), audit=True), rule(1, ())
    tried = compile_policy(document((audited,)), resolve(document((audited,)), interface("x")))
    real = compile_policy(document((plain,)), resolve(document((plain,)), interface("x")))
    assert tried.shadow == real.rows
    assert tried.numbers.shadow_rules == real.numbers.rules == ("r1",)
    assert real.shadow == {}, "no audit rule, no shadow"
