# SPDX-License-Identifier: Apache-2.0
"""Both forms of the log, and the whole command where it refuses before it asks the kernel."""

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from krait.agent import log
from krait.common.errors import ExitCode, KraitError, UsageError

NO_NAME = "a/b"  # no name of an interface
AGENT = [sys.executable, "-c", "import sys; from krait.cli.main import main; sys.exit(main())"]
AGENT += ["--iface", NO_NAME]


class Stream(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_in_a_pipe_each_line_is_json_in_a_fixed_order() -> None:
    stream = Stream(terminal=False)
    log.configure("wg0", stream)
    structlog.get_logger().warning("two\nlines", path="/etc/krait")
    [line] = stream.getvalue().splitlines()
    told = json.loads(line)
    assert list(told) == ["timestamp", "level", "event", "interface", "path"]
    assert (told["level"], told["event"], told["interface"]) == ("warning", "two\nlines", "wg0")
    assert told["timestamp"].endswith("Z")


def test_a_terminal_is_told_nothing_that_it_would_obey(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Stream(terminal=True)
    log.configure("wg0", stream)
    structlog.get_logger().warning("no guard on a\x1b[8m\nand\x9b8m", on=["b\x1b"], at="c\udcff")
    told = stream.getvalue()
    assert "no guard on a\\x1b[8m\nand\\x9b8m" in told
    assert "['b\\x1b']" in told
    assert "at=c\\udcff" in told


@pytest.mark.parametrize("terminal", [True, False])
def test_a_traceback_shows_no_values(*, terminal: bool) -> None:
    stream = Stream(terminal=terminal)
    log.configure("wg0", stream)
    preshared_key = os.urandom(32).hex()
    try:
        bytes.fromhex(preshared_key)[-33]
    except IndexError:
        structlog.get_logger().exception("unexpected error")
    assert "IndexError: " in stream.getvalue()
    assert preshared_key not in stream.getvalue()


def test_in_a_pipe_a_traceback_is_part_of_its_line() -> None:
    stream = Stream(terminal=False)
    log.configure("wg0", stream)
    try:
        bytes(1)[1]
    except IndexError:
        structlog.get_logger().exception("unexpected error")
    assert "IndexError: " in json.loads(stream.getvalue())["exception"]


def test_on_a_terminal_it_is_for_a_person() -> None:
    stream = Stream(terminal=True)
    log.configure("wg0", stream)
    structlog.get_logger().warning("cannot write", path="/etc/krait")
    assert "cannot write" in stream.getvalue()
    with pytest.raises(json.JSONDecodeError):
        json.loads(stream.getvalue())


def test_on_a_terminal_it_has_colour_unless_that_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for refused in ("", "1"):
        monkeypatch.setenv("NO_COLOR", refused)
        stream = Stream(terminal=True)
        log.configure("wg0", stream)
        structlog.get_logger().warning("cannot write")
        assert ("\x1b[" in stream.getvalue()) is not bool(refused)


@pytest.mark.parametrize(
    ("error", "details", "facts"),
    [
        (UsageError("bad", hint="mend"), (), {"hint": "mend", "exit_code": ExitCode.USAGE}),
        (
            KraitError("refused"),
            ("line 1", "line 2"),
            {"hint": "", "exit_code": ExitCode.SYSTEM, "details": ["line 1", "line 2"]},
        ),
    ],
)
def test_the_error_that_ends_an_agent_is_one_line_with_its_mend(
    error: KraitError, details: tuple[str, ...], facts: dict[str, object]
) -> None:
    stream = Stream(terminal=False)
    log.configure("wg0", stream)
    log.ended(error, details)
    told = json.loads(stream.getvalue())
    del told["timestamp"]
    assert told == {"level": "error", "event": error.message, "interface": "wg0", **facts}


def test_a_refused_agent_writes_json_alone_where_nobody_looks_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as stderr:
        code = subprocess.run(AGENT, stderr=stderr, stdout=subprocess.PIPE, check=False).returncode
    [told] = map(json.loads, path.read_text().splitlines())
    assert (told["level"], told["exit_code"], told["interface"]) == ("error", code, NO_NAME)
    assert code == ExitCode.USAGE
    assert NO_NAME in told["event"]


def test_a_refused_agent_speaks_in_words_on_a_terminal() -> None:
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(AGENT, stderr=theirs, stdout=subprocess.PIPE, check=False)
        told = os.read(ours, 4096).decode()
    finally:
        os.close(theirs)
        os.close(ours)
    assert done.returncode == ExitCode.USAGE
    assert "error:" in told
    assert "exit_code" not in told
