# SPDX-License-Identifier: Apache-2.0
"""The man pages name every verb, option and field, and are free of faults."""

import re
import subprocess

import pytest

from release import manual
from release.parsers import verbs
from tests.requirements import need_tools

need_tools("man", "mandoc")

PAGES = {
    "krait.8": manual.krait("1.2.3", 1_700_000_000),
    "krait.yaml.5": manual.krait_yaml("1.2.3", 1_700_000_000),
}


@pytest.mark.parametrize("name", PAGES)
def test_neither_groff_nor_mandoc_complains(name: str) -> None:
    lint = ["mandoc", "-T", "lint", "-W", "warning"]
    man = ["man", "--warnings", "--local-file", "-"]
    for command in (lint, man):
        done = subprocess.run(
            command, input=PAGES[name], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
        assert not done.stderr


def test_every_verb_is_there_with_its_options() -> None:
    page = PAGES["krait.8"].replace(r"\-", "-")
    for name, _, parser in verbs():
        assert f'.SS "krait {name}' in page
        for action in parser.actions:
            assert all(rf"\fB{flag}\fR" in page for flag in action.option_strings)
            assert re.split("['`]", action.help or "")[0] in page


def test_the_date_is_that_of_the_source() -> None:
    assert all('"2023-11-14" "Krait 1.2.3"' in page for page in PAGES.values())
