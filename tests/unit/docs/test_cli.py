# SPDX-License-Identifier: Apache-2.0
"""docs/cli.md says what the command line does: its verbs, its exit codes, the keys of its JSON."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from krait.agent.leave import Left
from krait.agent.state import Fault
from krait.cli.main import INTERRUPTED, PIPE_CLOSED, VERBS
from krait.common.errors import ExitCode
from krait.policy import advice, lint

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "cli.md").read_text()
CLI = ROOT / "src" / "krait" / "cli"
SETTINGS = ROOT / "src" / "krait" / "policy" / "settings.py"
REPORTS = (
    "failure.py",
    "guarded.py",
    "inspection_report.py",
    "comparison_report.py",
    "rule_table.py",
    "flow_list.py",
    "demo/report.py",
)
"""What commands say in JSON and do not word themselves."""


def keys(source: str) -> Iterator[str]:
    """Those of every dict that is written out."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Dict):
            for key in node.keys:
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value


def row(key: str) -> str:
    """The one row of a table that is about the key alone."""
    (found,) = re.findall(rf"^\| `{key}` \|.*\|$", PAGE, re.MULTILINE)
    return str(found)


@pytest.mark.parametrize("file", [*REPORTS, *(f"commands/{verb}.py" for verb in VERBS)])
def test_every_key_of_json_is_told(file: str) -> None:
    assert [key for key in keys((CLI / file).read_text()) if f"`{key}`" not in PAGE] == []


@pytest.mark.parametrize("file", REPORTS)
def test_a_file_that_is_asked_for_its_keys_has_some(file: str) -> None:
    """Else they moved to another file, where nobody asks for them."""
    assert list(keys((CLI / file).read_text()))


def settings_of_a_document() -> Iterator[str]:
    """The names by which policy.settings tells that two documents differ: a table's, and others."""
    for node in ast.walk(ast.parse(SETTINGS.read_text())):
        match node:
            case ast.AnnAssign(target=ast.Name(id="_OTHERS")):
                yield from keys(ast.unparse(node))
            case ast.Yield(value=ast.Constant(value=str(name))):
                yield name


def test_every_setting_that_may_differ_is_told() -> None:
    told, names = row("settings"), set(settings_of_a_document())
    assert {"strict", "until"} <= names
    assert {name for name in names if f"`{name}`" not in told} == set()


def test_what_an_agent_says_of_a_fault_is_told() -> None:
    told = row("agent")
    assert [each.name for each in fields(Fault) if f"`{each.name}`" not in told] == []


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
