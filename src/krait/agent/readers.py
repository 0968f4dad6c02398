# SPDX-License-Identifier: Apache-2.0
"""The packets that may still be judged by what was in force before a commit.

The wait for them begins right after the store, in the background, so that the next one to write
their slot seldom has to wait.
"""

from concurrent.futures import Future, ThreadPoolExecutor

from krait.agent.ports import Tables


class Readers:
    """Those of one commit at a time. Calls come from one thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="krait-readers")
        self._awaited: tuple[Tables, Future[None] | None] | None = None

    def begin(self, tables: Tables) -> None:
        """Begin to wait for those of what was in force until now, after `wait` for any before."""
        self._awaited = tables, None  # whatever becomes of the thread
        self._awaited = tables, self._thread.submit(tables.wait_for_readers)

    def wait(self) -> None:
        """Return only when it is sure that none is left, whatever became of the first try."""
        if self._awaited is not None:
            tables, future = self._awaited
            if future is None or future.exception() is not None:
                tables.wait_for_readers()
            self._awaited = None

    def close(self) -> None:
        """Wait for what goes on."""
        self._thread.shutdown()
