# SPDX-License-Identifier: Apache-2.0
import threading

import pytest

from krait.cli.waiting import progress


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was told."""
    found: list[str] = []
    monkeypatch.setattr("krait.cli.waiting.sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("krait.cli.output.note", found.append)
    return found


def test_what_takes_its_time_is_told(notes: list[str]) -> None:
    with progress("reading", after_s=0):
        for each in threading.enumerate():
            if isinstance(each, threading.Timer):
                each.join()
    assert notes == ["reading …"]


def test_what_is_done_soon_is_not(notes: list[str]) -> None:
    with progress("reading", after_s=3600):
        pass
    assert notes == []


def test_who_is_no_terminal_is_not_told(notes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("krait.cli.waiting.sys.stderr.isatty", lambda: False)
    before = set(threading.enumerate())
    with progress("reading", after_s=0):
        assert set(threading.enumerate()) <= before
    assert notes == []
