# SPDX-License-Identifier: Apache-2.0
from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given

from krait.policy.beside import UNKNOWN, beside, visible
from krait.policy.compile import compile_policy
from krait.policy.evaluate import Decision, decide
from krait.policy.identities import identities, named_nodes, node_labels
from krait.policy.model import Document, Labels
from krait.policy.view import View, resolve
from tests.strategies.worlds import World, later, worlds
from tests.unit.policy.bench import AUDIT_RULE, INTERFACE, document

NO_TRIAL = (f"    {AUDIT_RULE}\n", "")
NOW = document(NO_TRIAL)
TO_API, TO_WEB = (("to: app", f"to: {tag}") for tag in ("api", "web"))
NONE: Labels = frozenset()


def views(now: Document, other: Document) -> tuple[View, View]:
    """As it is, and with the labels of the shadow."""
    return resolve(now, INTERFACE), resolve(beside(now, other).document, INTERFACE)


def test_who_owns_an_address_does_not_depend_on_the_shadow() -> None:
    plain, both = views(NOW, document(NO_TRIAL, ("tags: [web]", "tags: [web, canary]")))
    assert plain.owners.keys() == both.owners.keys()
    for cidr, who in plain.owners.items():
        other = both.owners[cidr]
        assert (who and who.labels) == (other and other.labels and visible(other.labels))


def test_one_identity_becomes_two_where_the_shadow_tells_them_apart() -> None:
    renamed = document(NO_TRIAL, ("tags: [app]", "tags: [api]"), ("from: app", "from: api"), TO_API)
    assert len(identities(beside(NOW, renamed).document)) == len(identities(NOW))
    alike = document(NO_TRIAL, ("tags: [app]", "tags: [web]"), ("from: app", "from: web"), TO_WEB)
    assert len(identities(beside(alike, NOW).document)) == len(identities(alike)) + 1


def test_the_pairs_in_force_are_those_of_the_document_alone() -> None:
    """What is rehearsed must not change what is enforced."""
    other = document(("tags: [app]", "tags: [app, web]"), ("[tcp/80, ", "["))
    both = beside(NOW, other)
    alone = compile_policy(NOW, resolve(NOW, INTERFACE))
    beside_it = compile_policy(both.document, resolve(both.document, INTERFACE), None, both.shadow)
    assert beside_it.numbers.rules == alone.numbers.rules
    columns = {visible(each or NONE): i for i, each in enumerate(beside_it.numbers.identities)}
    for place, labels in enumerate(alone.numbers.identities):
        assert labels is not None
        assert _row(beside_it.rows, columns[labels]) == _row(alone.rows, place)


def _row(rows: Mapping[int, tuple[object, ...]], column: int) -> list[object]:
    return [row[column] for row in rows.values()]


def test_a_node_that_the_shadow_does_not_name_is_unknown_there_and_told() -> None:
    app = NOW.nodes[-1]
    other = document(NO_TRIAL, ("  app1:\n", "  other:\n"), ("AwMDAw", "BAMDAw"))
    both = beside(NOW, other)
    assert both.document.nodes[-1].tags == app.tags | UNKNOWN
    assert both.warnings == (
        "it does not name app1: what they do is not rehearsed",
        "other is not there yet: not rehearsed",
    )


def test_a_subnet_without_tags_gets_none_by_its_shadow() -> None:
    """Identity 0 is denied under every default: it must not become an identity."""
    tagged_there = ("10.21.0.0/24]", "{cidr: 10.21.0.0/24, tags: [branch]}]")
    other = document(NO_TRIAL, tagged_there, ("tags: [lan]}", "tags: []}"), ("to: lan", "to: db"))
    both = beside(NOW, other)
    untagged = [route for node in both.document.nodes for route in node.routes if not route.tags]
    assert [str(route.cidr) for route in untagged] == ["10.31.0.0/24", "10.21.0.0/24"]
    assert "only in one of the two" in both.warnings[0]
    assert "10.30.0.0/24, 10.21.0.0/24" in both.warnings[0]


def test_what_is_not_rehearsed_of_the_policy_is_told() -> None:
    other = document(NO_TRIAL, ("policy:\n", "policy:\n  strict: true\n  limits: {opens: 5}\n"))
    assert beside(NOW, other).warnings == (
        "its `strict` is not rehearsed",
        "its `limits` are not rehearsed",
    )


@given(worlds().flatmap(lambda world: later(world).map(lambda after: (world, after))))
def test_the_shadow_decides_as_the_other_document_would(pair: tuple[World, World]) -> None:
    now, after = (each.document for each in pair)
    rules = tuple(replace(rule, until=None) for rule in after.policy.rules)
    after = replace(after, policy=replace(after.policy, rules=rules))
    both = beside(now, after)
    named_now, named_then = named_nodes(both.document), named_nodes(after)
    labels = [
        (node_labels(mine, named_now), node_labels(then, named_then))
        for mine, then in zip(both.document.nodes, after.nodes, strict=True)
    ]
    for source, source_then in labels:
        for destination, destination_then in labels:
            for protocol, port in ((6, 80), (17, 53), (1, 8), (47, 0)):
                mine = decide(both.shadow, source, destination, protocol, port)
                then = decide(after.policy, source_then, destination_then, protocol, port)
                assert (mine.allows, _name(mine)) == (then.allows, _name(then))


def _name(decision: Decision) -> str | None:
    return decision.rule.name if decision.rule else None


def test_a_multicast_group_is_the_same_by_name_and_addresses() -> None:
    def grouped(tag: str, address: str = "224.0.0.5") -> Document:
        group = f"multicast: {{g: {{address: {address}, tags: [{tag}]}}}}"
        return document(NO_TRIAL, ("policy:", f"{group}\npolicy:"))

    (group,) = beside(grouped("db"), grouped("web")).document.multicast
    assert group.tags == {"db", "shadow/web"}
    both = beside(grouped("db"), grouped("web", "224.0.0.6"))
    assert both.document.multicast[0].tags == {"db"} | UNKNOWN
    assert both.warnings == ("it does not name g: what they do is not rehearsed",)
