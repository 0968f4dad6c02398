# SPDX-License-Identifier: Apache-2.0
"""README's figures are those of bench/RESULTS.md, which a benchmark printed."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
QUOTED = (
    "pair allowed",
    "pair denied",
    "flow hit, UDP",
    "port denied, list of 250 intervals",
)


def test_the_readme_quotes_what_was_measured() -> None:
    results = (ROOT / "bench" / "RESULTS.md").read_text()
    least = dict(re.findall(r"^\| (.+?) \| (\d+) \| \d+ \| \d+ \|$", results, re.MULTILINE))
    row = "| " + " | ".join(least[label] for label in QUOTED) + " |"
    assert row in (ROOT / "README.md").read_text()
