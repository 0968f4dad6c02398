# SPDX-License-Identifier: Apache-2.0
import os
from threading import Thread

import pytest

from krait.kernel.bpf import testrun
from krait.kernel.bpf.barrier import ReaderBarrier
from krait.kernel.bpf.object import BpfObject

FRAME = testrun.ethernet(bytes([0x45, *[0] * 39]))
BEGAN, ENDED = (0).to_bytes(4, "little"), (1).to_bytes(4, "little")
NO, YES = (0).to_bytes(8, "little"), (1).to_bytes(8, "little")
ATTEMPTS = 50


@pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="does not apply: one processor runs one at a time"
)
def test_a_run_that_began_before_has_ended_when_the_wait_is_over(loaded: BpfObject) -> None:
    with ReaderBarrier() as barrier:
        # A run cannot be preempted: where it takes this thread's CPU, there is no looking at it.
        assert any(_saw_a_run_end_while_waiting(loaded, barrier) for _ in range(ATTEMPTS))


def _saw_a_run_end_while_waiting(loaded: BpfObject, barrier: ReaderBarrier) -> bool:
    progress = loaded.maps["progress"]
    progress.update(BEGAN, NO)
    progress.update(ENDED, NO)
    reader = Thread(target=testrun.run, args=(loaded.programs["toy_slow"], FRAME))
    reader.start()
    while reader.is_alive() and progress.lookup(BEGAN) != YES:
        pass
    in_the_middle = progress.lookup(ENDED) == NO
    barrier.wait()
    ended = progress.lookup(ENDED) == YES
    reader.join()
    assert ended
    return in_the_middle
