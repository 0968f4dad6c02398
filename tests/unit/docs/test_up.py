# SPDX-License-Identifier: Apache-2.0
"""docs/up.md and the README say what there is: verbs, options, files, marks."""

import re
from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path

import pytest

from krait.agent.paths import Paths
from krait.cli.main import VERBS
from krait.kernel.device import MARK
from krait.kernel.route import PROTOCOL, Table
from krait.kernel.rule import PRIORITY

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "up.md").read_text()
COMMAND = re.compile(r"\bkrait ([a-z]+)((?: [^\n`|#&]*)?)")


def options(verb: str) -> str:
    parser = ArgumentParser()
    import_module(VERBS[verb].module).configure(parser)
    return parser.format_help()


@pytest.mark.parametrize("page", ["docs/up.md", "README.md"])
def test_every_command_is_one(page: str) -> None:
    text = (ROOT / page).read_text()
    shown = re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", text)
    commands = [found for part in (*shown, *inline) for found in COMMAND.findall(part)]
    assert len(commands) > 5
    for verb, arguments in commands:
        assert verb in VERBS
        for option in re.findall(r"--[a-z]+", arguments):
            assert option in options(verb), (verb, option)


def test_files_are_where_they_are_said_to_be() -> None:
    paths = Paths()
    told = [
        paths.key_of("wg0"),
        paths.orders_of("wg0"),
        paths.trial_of("wg0"),
        paths.state_of("wg0"),
        paths.pins_of("wg0"),
        paths.log_of("wg0"),
        paths.configs_of("wg0")[0],
    ]
    assert [each for each in told if f"`{each}`" not in PAGE] == []
    assert f"`{paths.kept_of('wg0').name}`" in PAGE


def test_marks_are_what_they_are_said_to_be() -> None:
    assert f"`ip link show group {MARK}`" in PAGE
    assert f"`{MARK:#x}`" in PAGE
    assert f"`ip route show table all proto {PROTOCOL}`" in PAGE
    assert f"`{PRIORITY}: from all to 10.8.0.0/24 lookup {int(Table.OWN)}`" in PAGE
