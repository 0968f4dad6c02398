# SPDX-License-Identifier: Apache-2.0
"""docs/demo.txt is what `krait demo` prints; the parts that do not vary are held to the code."""

import re
from pathlib import Path

from krait.cli.output import WIDTH
from krait.lab.demo.document import TAGS, shortened, write

TEXT = (Path(__file__).parents[3] / "docs" / "demo.txt").read_text()


def without_keys(text: str) -> str:
    return re.sub(r'"[^"]{6}…"', '""', text)


def test_it_shows_the_policy_that_the_demo_has_now() -> None:
    policy = shortened(write(dict.fromkeys(TAGS, "A" * 43 + "="), quarantine=False))
    shown = without_keys(TEXT).splitlines()
    assert [line for line in without_keys(policy).splitlines() if f"  {line}" not in shown] == []


def test_it_fits_a_terminal_and_everything_in_it_held() -> None:
    lines = TEXT.splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= WIDTH
    assert lines[-1].startswith("✓")
    assert "✗" not in TEXT


def test_the_readme_shows_what_the_demo_prints() -> None:
    assert f"```\n{TEXT}```" in (Path(__file__).parents[3] / "README.md").read_text()
