# SPDX-License-Identifier: Apache-2.0
"""docs/cli.md says what the command line does: its verbs, its exit codes, the keys of its JSON."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from krait.agent.leave import Left
from krait.cli.main import INTERRUPTED, PIPE_CLOSED, VERBS
from krait.common.errors import ExitCode
from krait.policy import advice, lint

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "cli.md").read_text()
CLI = ROOT / "src" / "krait" / "cli"
REPORTS = (
    "failure.py",
    "guarded.py",
    "inspection.py",
    "comparison_report.py",
    "demo/report.py",
    *(f"commands/{v}.py" for v in VERBS),
)


def keys(source: str) -> Iterator[str]:
    """Those of every dict that is written out."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Dict):
            for key in node.keys:
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value


@pytest.mark.parametrize("file", REPORTS)
def test_every_key_of_json_is_told(file: str) -> None:
    assert [key for key in keys((CLI / file).read_text()) if f"`{key}`" not in PAGE] == []


def test_what_detach_did_is_told() -> None:
    assert [each.name for each in fields(Left) if f"| `{each.name}` |" not in PAGE] == []


def test_everything_that_check_can_excuse_is_told_and_nothing_else() -> None:
    tables = re.findall(r"^\| id of a \w+ \|.*\n\|---\|---\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    told = [re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE) for table in tables]
    assert [set(ids) for ids in told] == [lint.IDS, advice.IDS]


def test_every_verb_has_its_exit_codes() -> None:
    rows = re.findall(r"^\| `([a-z]+)`.*?(?:\|.*?){4}\|$", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted(VERBS)


def test_every_exit_code_is_told() -> None:
    assert [code for code in ExitCode if f"| {code.value} | " not in PAGE] == []
    assert f"{INTERRUPTED} is an interrupt, {PIPE_CLOSED} a reader that went away" in PAGE
