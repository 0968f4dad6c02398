# SPDX-License-Identifier: Apache-2.0
"""A file is read in one go: what grows beyond that is two matters, and becomes two files."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
WRITTEN = {".c", ".h", ".py", ".sh"}


def lengths(folder: str) -> dict[str, int]:
    """Lines of each file below the folder that somebody wrote as a program."""
    return {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in (ROOT / folder).rglob("*")
        if path.suffix in WRITTEN
    }


@pytest.mark.parametrize(("folder", "most"), [("src", 300), ("ebpf", 300), ("tests", 400)])
def test_no_file_is_longer_than_contributing_says(folder: str, most: int) -> None:
    found = lengths(folder)
    assert found
    assert {name: lines for name, lines in found.items() if lines > most} == {}
