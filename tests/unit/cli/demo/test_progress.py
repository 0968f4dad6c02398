# SPDX-License-Identifier: Apache-2.0
import sys
from io import StringIO

import pytest

from krait.cli.demo import progress


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_each_line_takes_the_place_of_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    progress.show("one")
    progress.show("two")
    progress.clear()
    assert isinstance(sys.stderr, Terminal)
    written = sys.stderr.getvalue()
    assert "\n" not in written
    first, second, last = written.split("\r\x1b[2K")[1:]
    assert ("one" in first, "two" in second, last) == (True, True, "")


def test_elsewhere_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", StringIO())
    progress.show("one")
    progress.clear()
    assert isinstance(sys.stderr, StringIO)
    assert sys.stderr.getvalue() == ""
