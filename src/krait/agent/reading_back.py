# SPDX-License-Identifier: Apache-2.0
"""After a commit, and each hour after: do the kernel's tables hold what was compiled?

Asked in the background.

A commit never waits for the answer: it calls the question off, whose answer it makes void.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

from krait.agent.ports import Tables
from krait.common.errors import KraitError, SystemRefused
from krait.policy.image import Image

AGAIN_S = 3600.0
"""Between two questions while nothing is committed: of 10,000 peers one is 25 ms of a CPU."""


class Drift(SystemRefused):
    """The kernel's tables are not what this agent wrote."""

    def __init__(self, tables: tuple[str, ...]) -> None:
        super().__init__(
            f"the tables in force are not what was written: {', '.join(tables)} differ",
            hint="They are written anew. Look for who else may write BPF maps here, as root may.",
        )


class ReadingBack:
    """At most one question at a time. Calls come from one thread; moments are monotonic, in
    seconds.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="krait-reading-back")
        self._asked: tuple[Future[tuple[str, ...]], Event] | None = None
        self._asked_s = float("-inf")

    def ask(self, tables: Tables, slot: int, image: Image, now_s: float) -> None:
        """Begin to compare a slot, which is in force from now on, with what it was to be."""
        self.call_off()
        ended, self._asked_s = Event(), now_s
        self._asked = self._thread.submit(tables.differing, slot, image, ended.is_set), ended

    def call_off(self) -> None:
        """Return once nothing reads the tables any more; what was asked gets no answer."""
        if self._asked is not None:
            future, ended = self._asked
            ended.set()
            future.exception()  # waits
            self._asked = None

    def is_due(self, now_s: float) -> bool:
        """Whether to ask again though nothing was committed."""
        return self._asked is None and now_s - self._asked_s >= AGAIN_S

    @property
    def is_answered(self) -> bool:
        """Whether `answer` has one."""
        return self._asked is not None and self._asked[0].done()

    def answer(self) -> tuple[bool, KraitError | None]:
        """Whether there is an answer that was not given yet, and what is wrong by it."""
        if self._asked is None or not self.is_answered:
            return False, None
        future, _ = self._asked
        self._asked = None
        error = future.exception()
        if isinstance(error, KraitError):
            return True, error
        if error is not None:
            raise error
        differing = future.result()
        return True, Drift(differing) if differing else None

    def close(self) -> None:
        """Wait for what goes on."""
        self.call_off()
        self._thread.shutdown()
