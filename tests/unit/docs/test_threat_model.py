# SPDX-License-Identifier: Apache-2.0
"""The tests that docs/threat-model.md names are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "threat-model.md").read_text()
NAMED = sorted(set(re.findall(r"\btests/[\w/*]+(?:\.py)?", PAGE)))

_SENTENCES = r"\b(tests/[\w/]+\.py),\s+\"([^\"]+)\"(?:,\s+and\s+\"([^\"]+)\")?"
QUOTED = sorted(
    {
        (path, " ".join(sentence.split()))
        for path, *sentences in re.findall(_SENTENCES, PAGE)
        for sentence in filter(None, sentences)
    }
)
"""Files, and the sentence of a test in each."""


@pytest.mark.parametrize("named", NAMED)
def test_a_test_that_is_named_is_there(named: str) -> None:
    assert list(ROOT.glob(named))


@pytest.mark.parametrize(("path", "sentence"), QUOTED)
def test_a_sentence_that_is_quoted_is_a_test_of_its_file(path: str, sentence: str) -> None:
    words = sentence.replace(" ", "_")
    assert re.search(rf"\bdef test_{words}\(", (ROOT / path).read_text())


def test_the_page_names_tests() -> None:
    assert len(NAMED) > 10
    assert len(QUOTED) > 10
