# SPDX-License-Identifier: Apache-2.0
import gc
import weakref
from collections.abc import Iterator
from threading import Event, Thread

import pytest

from krait.common import collector


class Node:
    """Refers to itself, so that only the collector frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _nothing_frozen() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_nothing_is_collected_inside_and_all_goes_on_after() -> None:
    with collector.paused():
        assert not gc.isenabled()
        with collector.paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_what_was_paused_already_stays_so() -> None:
    gc.disable()
    try:
        with collector.paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_much_that_is_left_is_not_walked_again() -> None:
    frozen = gc.get_freeze_count()
    with collector.paused():
        kept = [[number] for number in range(20_000)]
    assert gc.get_freeze_count() - frozen > len(kept)


def test_little_is_left_to_the_collector() -> None:
    gc.collect()
    frozen = gc.get_freeze_count()
    with collector.paused():
        kept = [[number] for number in range(100)]
    assert gc.get_freeze_count() == frozen
    assert kept


def test_a_sweep_frees_cycles_of_this_and_of_earlier_times() -> None:
    with collector.paused():
        earlier = Node()
        lists = [[number] for number in range(20_000)]
    with collector.paused(then_sweep=True):
        now = Node()
        lists = [[number] for number in range(20_000)]
        gone = [weakref.ref(earlier), weakref.ref(now)]
        del earlier, now
    assert [each() for each in gone] == [None, None]
    assert lists


def test_a_pause_lasts_until_the_last_of_two_threads_is_out_of_it() -> None:
    is_in, may_leave = Event(), Event()

    def other() -> None:
        with collector.paused():
            is_in.set()
            assert may_leave.wait(60)

    thread = Thread(target=other)
    with collector.paused():
        thread.start()
        assert is_in.wait(60)
    assert not gc.isenabled()
    may_leave.set()
    thread.join()
    assert gc.isenabled()


def test_the_last_of_two_threads_to_leave_sweeps_for_the_other_and_the_next_pause_does_not() -> (
    None
):
    is_in, may_leave = Event(), Event()

    def other() -> None:
        with collector.paused():
            is_in.set()
            assert may_leave.wait(60)

    thread = Thread(target=other)
    with collector.paused(then_sweep=True):
        thread.start()
        assert is_in.wait(60)
        cycle = Node()
        lists = [[number] for number in range(20_000)]
        gone = weakref.ref(cycle)
        del cycle
    assert gone() is not None
    may_leave.set()
    thread.join()
    assert gone() is None
    with collector.paused():
        cycle = Node()
        lists += [[number] for number in range(20_000)]
        left = weakref.ref(cycle)
        del cycle
    assert left() is not None
    assert lists
