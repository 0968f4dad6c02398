# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator
from contextlib import closing

import pytest

from krait.agent.readers import Readers
from krait.common.abi import ABI_VERSION
from krait.kernel.generation import Generation
from krait.policy.capacity import SMALLEST
from tests.unit.agent.ports import FakeTables, Kernel, Refused


class Awaited(FakeTables):
    """Counts who waited to the end."""

    waits = 0

    def wait_for_readers(self) -> None:
        super().wait_for_readers()
        self.waits += 1


@pytest.fixture
def tables() -> Awaited:
    return Awaited(Kernel(), Generation(ABI_VERSION, 1, {}, 0), SMALLEST)


@pytest.fixture
def readers() -> Iterator[Readers]:
    with closing(Readers()) as readers:
        yield readers


def test_they_are_waited_for_once(readers: Readers, tables: Awaited) -> None:
    readers.wait()  # for nobody
    readers.begin(tables)
    readers.wait()
    readers.wait()
    assert tables.waits == 1


def test_a_wait_that_failed_is_begun_anew_until_it_is_sure(
    readers: Readers, tables: Awaited
) -> None:
    tables.kernel.refuses = {"wait"}
    readers.begin(tables)
    for _ in range(2):
        with pytest.raises(Refused):
            readers.wait()
    tables.kernel.refuses = set()
    readers.wait()
    assert tables.waits == 1


def test_one_without_a_thread_waits_itself(
    readers: Readers, tables: Awaited, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("concurrent.futures.thread.ThreadPoolExecutor.submit", refuse)
    with pytest.raises(RuntimeError, match="thread"):
        readers.begin(tables)
    readers.wait()
    assert tables.waits == 1
