# SPDX-License-Identifier: Apache-2.0
"""The loader, on every document that the strategies can think of."""

from dataclasses import replace

from hypothesis import given, settings

from krait.policy.document import load
from krait.policy.model import Document
from tests.strategies.documents import NOWHERE
from tests.strategies.scenario import Scenario
from tests.strategies.text import document_as_yaml, scenario_as_json, scenario_from_json
from tests.strategies.traffic import scenarios
from tests.strategies.worlds import World, worlds


def unmarked(document: Document) -> Document:
    """Without the places where things were written."""
    nodes = tuple(
        replace(node, mark=NOWHERE, routes=tuple(replace(r, mark=NOWHERE) for r in node.routes))
        for node in document.nodes
    )
    rules = tuple(replace(rule, mark=NOWHERE) for rule in document.policy.rules)
    return replace(document, nodes=nodes, policy=replace(document.policy, rules=rules))


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_a_document_loads_as_what_it_was_written_from(world: World) -> None:
    loaded = load(document_as_yaml(world.document), world.document.source)
    assert unmarked(loaded) == world.document


@settings(max_examples=20, deadline=None)
@given(scenarios())
def test_a_scenario_can_be_kept_as_json(scenario: Scenario) -> None:
    kept = scenario_from_json(scenario_as_json(scenario))
    assert kept.steps == scenario.steps
    assert [(unmarked(w.document), w.interface) for w in kept.worlds] == [
        (w.document, w.interface) for w in scenario.worlds
    ]
