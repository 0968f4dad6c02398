# SPDX-License-Identifier: Apache-2.0
"""Work that no round waits for: one piece at a time, in a thread of its own.

What is begun goes on to its end though nobody may want it any more; only then the next begins. The
thread keeps no agent from ending.
"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Later(Generic[T]):
    """Calls come from one thread at a time."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """`wake` is called, from another thread, when something is done."""
        self._wake = wake
        self._key: object = None
        self._future: Future[T] | None = None

    def of(self, key: object, work: Callable[[], T]) -> Future[T] | None:
        """What came of the work that goes by `key`, for as long as no other is asked for.

        None: it is not done. It begins with this call, or with one after what goes on is over.
        Raises RuntimeError where there is no thread to be had: the next call tries again.
        """
        if self._future is None or (self._future.done() and self._key != key):
            future: Future[T] = Future()
            Thread(target=self._run, args=(future, work), name="krait-later", daemon=True).start()
            self._key, self._future = key, future
        return self._future if self._future.done() and self._key == key else None

    def _run(self, future: "Future[T]", work: Callable[[], T]) -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - whoever asks for the result has it raised
            future.set_exception(error)
        else:
            future.set_result(result)
        self._wake()
