# SPDX-License-Identifier: Apache-2.0
"""Tables that are not what was written: said aloud, written anew, and told to be mended."""

from threading import Event
from typing import Any

from krait.agent.reading_back import AGAIN_S, Drift, ReadingBack
from krait.policy.image import EMPTY, Image
from tests.patience import wait_until
from tests.unit.agent.clock import Clock, wait_in_standing_time
from tests.unit.agent.ports import Stage

DRIFT = "the tables in force are not what was written: pair, addr4 differ"


def test_what_somebody_else_wrote_is_said_aloud_and_written_anew_until_it_holds(
    stage: Stage,
) -> None:
    agent = stage.rounds()
    agent.start()
    (tables,) = stage.kernel.loaded.values()

    def faults_after_a_round() -> list[str]:
        agent.play()
        return stage.faults

    tables.altered = ("pair", "addr4")
    stage.edit("    - {name: peers, from: web, to: app}\n", "")
    agent.read_again()
    wait_until(lambda: faults_after_a_round() == [DRIFT])
    before = stage.revision
    wait_until(lambda: (agent.play(), stage.revision)[1] > before)
    tables.altered = ()
    wait_until(lambda: faults_after_a_round() == [])
    settled = stage.revision
    agent.play()
    assert stage.revision == settled


def test_what_somebody_else_writes_long_after_a_commit_is_found_within_the_hour(
    stage: Stage, clock: Clock
) -> None:
    agent = stage.rounds()
    agent.start()
    (tables,) = stage.kernel.loaded.values()
    wait_in_standing_time(lambda: (agent.play(), tables.readings)[1] == 1)
    tables.altered = ("pair", "addr4")
    for _ in range(2):
        clock.now_s += AGAIN_S / 2 - 1
        agent.play()
    assert (tables.readings, stage.faults) == (1, [])
    clock.now_s += 2
    wait_in_standing_time(lambda: (agent.play(), stage.faults)[1] == [DRIFT])
    assert stage.revision == 2, "it is written anew"
    tables.altered = ()
    clock.now_s += AGAIN_S
    wait_in_standing_time(lambda: (agent.play(), stage.faults)[1] == [])
    assert stage.revision <= 3


def test_tables_that_cannot_be_read_back_are_a_fault_and_no_reason_to_write_them(
    stage: Stage,
) -> None:
    agent = stage.rounds()
    stage.kernel.refuses = {"read back"}
    agent.start()
    wait_until(lambda: (agent.play(), stage.faults)[1] == ["read back: refused"])
    assert stage.revision == 1


def tables(pretended: object) -> Any:  # noqa: ANN401 - all that is asked of it is there
    return pretended


class Slow:
    """Tables whose reading takes until it is called off."""

    def __init__(self) -> None:
        self.began, self.ended = Event(), Event()

    def differing(self, slot: int, image: Image, is_over: object) -> tuple[str, ...]:
        assert (slot, image) == (1, EMPTY)
        assert callable(is_over)
        self.began.set()
        while not is_over():
            pass
        self.ended.set()
        return ("pair",)


def test_a_question_that_is_called_off_is_over_at_once_and_has_no_answer() -> None:
    reading, slow = ReadingBack(), Slow()
    reading.ask(tables(slow), 1, EMPTY, 0.0)
    assert slow.began.wait(60)
    assert reading.answer() == (False, None)
    reading.call_off()
    assert slow.ended.is_set()
    assert reading.answer() == (False, None)
    reading.close()


def test_an_answer_is_given_once() -> None:
    class Altered:
        def differing(self, *_: object) -> tuple[str, ...]:
            return ("pair",)

    reading = ReadingBack()
    reading.ask(tables(Altered()), 1, EMPTY, 0.0)
    wait_until(lambda: reading.is_answered)
    is_news, error = reading.answer()
    assert is_news
    assert isinstance(error, Drift)
    assert reading.answer() == (False, None)
    reading.close()


def test_it_is_due_again_an_hour_after_the_moment_it_was_asked_at() -> None:
    class AsWritten:
        def differing(self, *_: object) -> tuple[str, ...]:
            return ()

    reading = ReadingBack()
    assert reading.is_due(0.0)
    reading.ask(tables(AsWritten()), 1, EMPTY, 7.0)
    wait_until(lambda: reading.is_answered)
    assert not reading.is_due(7.0 + AGAIN_S), "what was asked is not told yet"
    assert reading.answer() == (True, None)
    assert not reading.is_due(6.0 + AGAIN_S)
    assert reading.is_due(7.0 + AGAIN_S)
    reading.close()
