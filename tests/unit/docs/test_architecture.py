# SPDX-License-Identifier: Apache-2.0
"""ARCHITECTURE.md names every module of the packages whose tables of modules it has."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "ARCHITECTURE.md").read_text()

PACKAGES = ("policy", "kernel", "kernel.bpf", "kernel.wireguard", "agent", "agent.managed")


def modules(package: str) -> set[str]:
    folder = ROOT.joinpath("src", "krait", *package.split("."))
    return {path.stem for path in folder.glob("*.py")} - {"__init__"}


def rows(package: str) -> list[list[str]]:
    """The cells of the one table that is about the package."""
    head = rf"^\| module of `{re.escape(package)}` \|.*\n\|---\|---\|\n((?:\|.*\n)+)"
    (table,) = re.findall(head, PAGE, re.MULTILINE)
    return [line.strip("| ").split(" | ") for line in str(table).splitlines()]


def names(text: str) -> set[str]:
    return set(re.findall(r"`([a-z0-9_]+)`", text))


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_is_named_in_the_table_of_its_package(package: str) -> None:
    table = " ".join(cell for row in rows(package) for cell in row)
    assert modules(package) - names(table) == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_row_is_about_modules_that_there_are(package: str) -> None:
    about = set().union(*(names(row[0]) for row in rows(package)))
    assert about - modules(package) == set()
    assert all(names(row[0]) for row in rows(package))
