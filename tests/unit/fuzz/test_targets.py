# SPDX-License-Identifier: Apache-2.0
"""What reads bytes of others takes them or refuses them, in the words that it declares."""

from pathlib import Path

import pytest

from tests.fuzz.inputs import is_taken
from tests.fuzz.targets import TARGETS
from tests.unit.fuzz.fuzzer import fuzzer


@pytest.mark.parametrize("name", TARGETS)
def test_what_a_target_begins_from_is_valid(name: str) -> None:
    assert all(is_taken(TARGETS[name], data) for data in TARGETS[name].seeds)


def test_nearly_valid_bytes_are_taken_or_refused_as_declared(tmp_path: Path) -> None:
    found = fuzzer(tmp_path, "all")
    assert found.returncode == 0, found.stdout + found.stderr
    for name, target in TARGETS.items():
        assert f"{name}: {target.runs:,} inputs, " in found.stdout
