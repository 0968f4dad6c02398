# SPDX-License-Identifier: Apache-2.0
"""What reads bytes of others takes them or refuses them, in the words that it declares."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from krait.policy.schema import schema
from tests.fuzz.inputs import is_taken
from tests.fuzz.targets import TARGETS
from tests.unit.fuzz.fuzzer import fuzzer


@pytest.mark.parametrize("name", TARGETS)
def test_what_a_target_begins_from_is_valid(name: str) -> None:
    assert all(is_taken(TARGETS[name], data) for data in TARGETS[name].seeds)


def test_the_documents_to_begin_from_say_every_word_that_a_document_has() -> None:
    said = set(re.findall(r"(\w+):", b"\n".join(TARGETS["document"].seeds).decode()))
    assert set(words(schema())) - said == set()


def words(tree: object) -> Iterator[str]:
    """The keys that a schema's mappings may have."""
    if isinstance(tree, dict):
        yield from tree.get("properties", {})
        tree = list(tree.values())
    if isinstance(tree, list):
        for each in tree:
            yield from words(each)


def test_nearly_valid_bytes_are_taken_or_refused_as_declared(tmp_path: Path) -> None:
    found = fuzzer(tmp_path, "all")
    assert found.returncode == 0, found.stdout + found.stderr
    for name, target in TARGETS.items():
        assert f"{name}: {target.runs:,} inputs, " in found.stdout
