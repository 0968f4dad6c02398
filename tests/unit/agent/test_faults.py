# SPDX-License-Identifier: Apache-2.0
"""What is wrong is told once, by the word of its subject, wherever the log goes."""

import io
import json
from collections.abc import Iterator

import pytest
import structlog

from krait.agent import log
from krait.agent.faults import Faults, worded
from krait.agent.subject import Subject
from krait.common.errors import KraitError

NO_ROOM = KraitError("no room", hint="make some")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("krait.agent.faults._log", structlog.get_logger())  # it keeps its stream
    yield
    structlog.reset_defaults()


def lines(doing: Faults, *told: KraitError | None) -> list[dict[str, object]]:
    """What the log has of one subject, as programs read it."""
    stream = io.StringIO()
    log.configure("wg0", stream)
    for error in told:
        doing.note(Subject.CUT_OFF, error)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_fault_is_told_once_and_once_more_when_it_is_mended() -> None:
    begun, ended = lines(Faults(), None, NO_ROOM, NO_ROOM, None, None)
    assert (begun["event"], begun["subject"], begun["hint"]) == ("no room", "cut off", "make some")
    assert ended["event"] == "cut off: mended"


@pytest.mark.parametrize("subject", Subject)
def test_on_a_terminal_a_subject_is_told_by_its_word(subject: Subject) -> None:
    terminal = Terminal()
    log.configure("wg0", terminal)
    Faults().note(subject, NO_ROOM)
    worded(ValueError("odd"), subject)
    assert terminal.getvalue().count(subject.value) == 2
    assert "Subject" not in terminal.getvalue()


def test_a_fault_goes_by_the_word_of_its_subject_for_status() -> None:
    faults = Faults()
    faults.note(Subject.READING_BACK, NO_ROOM)
    assert [each.subject for each in faults.known] == ["reading back"]


def test_what_another_thread_hands_over_counts_once_it_is_collected() -> None:
    faults = Faults()
    faults.hand_over(Subject.EVENTS, NO_ROOM)
    assert len(faults) == 0
    faults.collect()
    assert [each.message for each in faults.known] == ["no room"]


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (NO_ROOM, "make some"),
        (OSError(28, "No space left on device"), "Mend what it names"),
        (AttributeError("odd"), "a fault of Krait's own"),
    ],
)
def test_whoever_can_mend_what_was_not_expected_is_told(error: Exception, hint: str) -> None:
    assert hint in worded(error, Subject.RECORDS).hint
