# SPDX-License-Identifier: Apache-2.0
"""The tests that docs/threat-model.md names are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "threat-model.md").read_text()
NAMED = sorted(set(re.findall(r"\btests/[\w/*]+(?:\.py)?", PAGE)))


@pytest.mark.parametrize("named", NAMED)
def test_a_test_that_is_named_is_there(named: str) -> None:
    assert list(ROOT.glob(named))


def test_the_page_names_tests() -> None:
    assert len(NAMED) > 10
