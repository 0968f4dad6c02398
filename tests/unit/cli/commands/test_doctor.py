# SPDX-License-Identifier: Apache-2.0
"""How findings are told: a tick where a person looks, a word where a program reads."""

import sys
from argparse import Namespace
from collections.abc import Mapping

import pytest

from krait.cli.commands import doctor
from krait.cli.doctor import machine
from krait.cli.doctor.finding import Answer, Check, Level, ok, warn

CHECKS: Mapping[str, Check] = {
    "jit": lambda: ok("compiled"),
    "wireguard": lambda: warn("in userspace", "now:\nmodprobe wireguard"),
}


@pytest.fixture(autouse=True)
def two_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the place of those that ask the running kernel."""
    monkeypatch.setattr(machine, "checks", lambda _: CHECKS)


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert doctor.run(Namespace(interface=None, json=False)) == 0
    return capsys.readouterr().out.splitlines()


def test_a_pipe_gets_words_and_every_mend(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys) == [
        "machine",
        "  ok    jit        compiled",
        "  warn  wireguard  in userspace",
        "                   hint: now:",
        "                   modprobe wireguard",
        "",
        "nothing fails, 1 warning",
    ]


def test_a_terminal_gets_ticks_in_colour(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    _, jit, wireguard, *_ = told(capsys)
    assert jit == "  \x1b[32m✓\x1b[0m  jit        compiled"
    assert wireguard == "  \x1b[33m!\x1b[0m  wireguard  in userspace"


def test_a_terminal_shows_no_colour_of_a_name_that_was_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    red = "a\x1b[31m"
    found = Answer(Level.OK, red, red, (red,))
    monkeypatch.setattr(machine, "checks", lambda _: {"replies": lambda: found})
    _, *lines = told(capsys)
    assert [line.split()[-1] for line in lines[:3]] == [r"a\x1b[31m"] * 3
