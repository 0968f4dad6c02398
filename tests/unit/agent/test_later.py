# SPDX-License-Identifier: Apache-2.0
"""Work in the background: one piece at a time, for whoever asks for it by its key."""

from threading import Event, Thread

import pytest

from krait.agent.later import Later
from tests.unit.agent.fails import raising


def test_what_is_asked_for_is_there_once_it_is_done_and_is_done_once() -> None:
    done = Event()
    later: Later[int] = Later(done.set)
    times = []
    may_end = Event()

    def work() -> int:
        times.append(may_end.wait(60))
        return 7

    assert later.of("a", work) is None
    may_end.set()
    assert done.wait(60)
    for _ in range(2):
        found = later.of("a", work)
        assert found is not None
        assert found.result() == 7
    assert times == [True]


def test_another_piece_begins_when_the_one_before_is_over() -> None:
    done, may_end, began = Event(), Event(), Event()
    later: Later[bool] = Later(done.set)

    def set_off() -> bool:
        began.set()
        return True

    later.of("a", lambda: may_end.wait(60))
    assert later.of("b", set_off) is None
    assert not began.is_set()
    may_end.set()
    assert done.wait(60)
    done.clear()
    later.of("b", set_off)
    assert began.wait(60)
    assert done.wait(60)
    assert later.of("b", set_off) is not None


def test_what_goes_wrong_is_raised_for_whoever_asks() -> None:
    done = Event()
    later: Later[float] = Later(done.set)
    later.of("a", lambda: 1 / 0)
    assert done.wait(60)
    found = later.of("a", float)
    assert found is not None
    assert isinstance(found.exception(), ZeroDivisionError)


def test_what_finds_no_thread_is_begun_by_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    done = Event()
    later: Later[int] = Later(done.set)
    with monkeypatch.context() as none_left:
        none_left.setattr(Thread, "start", raising(RuntimeError("can't start new thread")))
        with pytest.raises(RuntimeError):
            later.of("a", lambda: 7)
    later.of("a", lambda: 7)
    assert done.wait(60)
    found = later.of("a", lambda: 7)
    assert found is not None
    assert found.result() == 7
