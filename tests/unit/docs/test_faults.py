# SPDX-License-Identifier: Apache-2.0
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_every_test_that_is_named_for_a_fault_is_there() -> None:
    named = set(re.findall(r"tests/[\w/.]+[.]py", (ROOT / "docs/faults.md").read_text()))
    assert named
    assert [each for each in sorted(named) if not (ROOT / each).is_file()] == []
