# SPDX-License-Identifier: Apache-2.0
"""README's figures are those of bench/RESULTS.md, which a benchmark printed."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
QUOTED = (
    "pair allowed",
    "pair denied",
    "flow hit, TCP established",
    "port denied, list of 250 intervals",
)


def test_the_readme_quotes_what_was_measured() -> None:
    results = (ROOT / "bench" / "RESULTS.md").read_text()
    _, hot, *_ = results.split("\n## ")
    least = dict(re.findall(r"^\| (.+?) \| (\d+) \| \d+ \| \d+ \|$", hot, re.MULTILINE))
    row = "| " + " | ".join(least[label] for label in QUOTED) + " |"
    assert row in (ROOT / "README.md").read_text()


OF_SCALE = (
    "from its start to both hooks attached",
    "one node's tags, from the close of the file to the store",
    "CPU of an idle minute, with a look a second",
    "resident memory",
)


def test_the_readme_quotes_what_a_large_mesh_was_measured_to_cost() -> None:
    results = (ROOT / "bench" / "RESULTS.md").read_text()
    (scale,) = (each for each in results.split("\n## ") if each.startswith("Scale\n"))
    measured = dict(re.findall(r"^\| (.+?) \| ([0-9.]+ \w+)(?: \(.*\))? \|$", scale, re.MULTILINE))
    row = "| " + " | ".join(measured[label] for label in OF_SCALE) + " |"
    assert row in (ROOT / "README.md").read_text()
