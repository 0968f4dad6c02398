# SPDX-License-Identifier: Apache-2.0
"""examples/ holds what it says: every document is right, needs no advice, and proves itself."""

import re
from pathlib import Path

import pytest

from krait.cli.main import main
from krait.policy.document import load
from krait.policy.formatted import formatted

FOLDER = Path(__file__).parents[3] / "examples"
INDEX = (FOLDER / "README.md").read_text()
FILES = sorted(FOLDER.glob("*.yaml"))
OF_THE_FIELD = [file for file in FILES if file.name != "small.yaml"]
LEAST_TESTS = 3

each = pytest.mark.parametrize("file", FILES, ids=[file.name for file in FILES])
each_of_the_field = pytest.mark.parametrize(
    "file", OF_THE_FIELD, ids=[file.name for file in OF_THE_FIELD]
)


@each
def test_every_example_passes_without_a_warning_or_a_finding(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--strict", str(file)]) == 0
    assert re.fullmatch("ok: .* passed\n", capsys.readouterr().out)


@each
def test_every_example_says_what_must_pass_and_what_must_not(file: Path) -> None:
    tests = load(file.read_bytes(), file.name).policy.tests
    assert len(tests) >= LEAST_TESTS
    assert {test.allows for test in tests} == {True, False}


@each
def test_every_example_has_the_form_of_fmt(file: Path) -> None:
    assert formatted(file.read_bytes(), file.name) == file.read_bytes()


@each_of_the_field
def test_every_example_of_the_field_begins_with_what_it_is(file: Path) -> None:
    head = file.read_text().partition("\nversion:")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    told = re.findall(r"^# ([A-Z][a-z]+(?: [a-z]+)?):", head, re.MULTILINE)
    assert told == ["Shows", "Elsewhere", "Not here"]


def test_the_index_has_every_example_and_nothing_else() -> None:
    told = re.findall(r"^\| \[([a-z.]+)\]\(([a-z.]+)\) \|", INDEX, re.MULTILINE)
    assert sorted(told) == [(file.name, file.name) for file in FILES]
