# SPDX-License-Identifier: Apache-2.0
"""docs/policy.md says what the code does: its example passes, and every field is in it."""

import re
from pathlib import Path

import pytest

from krait.policy import expectations
from krait.policy.advice import advise
from krait.policy.document import DOCUMENT_KEYS, load
from krait.policy.lint import lint
from krait.policy.multicast import GROUP_KEYS
from krait.policy.nodes import MESH_KEYS, NODE_KEYS, ROUTE_KEYS
from krait.policy.ports import PROTOCOLS
from krait.policy.rules import POLICY_KEYS, RULE_KEYS, TEST_KEYS
from tests.documents import key

PAGE = (Path(__file__).parents[3] / "docs" / "policy.md").read_text()
EXAMPLES = re.findall("```yaml\n(.*?)```", PAGE, re.DOTALL)

TAGS = {"multicast": ("router", "router"), "reject": ("web", "db"), "groups": ("admin", "prod")}
"""Of the nodes that an example needs, by a word that it has."""


def test_the_example_passes_its_own_tests_and_needs_no_advice() -> None:
    example, *_ = EXAMPLES
    document = load(example.encode(), "policy.md")
    assert len(document.policy.tests) == 3
    assert expectations.run(document) == ()
    assert advise(document) == ()


def test_the_example_is_strict() -> None:
    example, *_ = EXAMPLES
    assert lint(load(example.encode(), "policy.md")) == ()


@pytest.mark.parametrize("example", EXAMPLES[1:], ids=["ports", "rejections", "multicast"])
def test_the_other_examples_pass_their_own_tests(example: str) -> None:
    one, other = next(tags for word, tags in TAGS.items() if word in example)
    nodes = f"""nodes:
  a: {{public_key: "{key(1)}", tags: [{one}]}}
  b: {{public_key: "{key(2)}", tags: [{other}]}}
"""
    document = load((nodes + example).encode(), "policy.md")
    assert expectations.run(document) == ()
    assert advise(document) == ()


def test_every_field_and_only_fields_that_exist_are_in_the_tables() -> None:
    cells = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    told = [word for cell in cells for word in re.findall("`(.*?)`", cell)]
    # `from` and `to` are told twice, with rules and with tests; routes are told in one cell.
    there = [
        *DOCUMENT_KEYS,
        *MESH_KEYS,
        *NODE_KEYS,
        *GROUP_KEYS,
        *POLICY_KEYS,
        *RULE_KEYS,
        *TEST_KEYS,
    ]
    assert sorted(told) == sorted(there)
    assert all(f"{key}: " in PAGE for key in ROUTE_KEYS)


def test_every_protocol_is_told() -> None:
    assert [word for word in PROTOCOLS if f"`{word}`" not in PAGE] == []
