# SPDX-License-Identifier: Apache-2.0
"""What is known of the tables after a commit, whatever went wrong behind it."""

import pytest

from krait.agent.readers import Readers
from krait.agent.reading_back import ReadingBack
from krait.agent.rounds import Rounds
from tests.unit.agent.edits import A_RULE
from tests.unit.agent.ports import LINK, Stage


@pytest.mark.parametrize(("part", "method"), [(Readers, "begin"), (ReadingBack, "ask")])
def test_a_commit_is_done_though_no_thread_can_follow_it(
    stage: Stage, agent: Rounds, monkeypatch: pytest.MonkeyPatch, part: type, method: str
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(part, method, refuse)
    stage.edit(*A_RULE)
    agent.read_again()
    agent.play()
    assert (stage.revision, stage.faults) == (2, [])
    (tables,) = stage.kernel.loaded.values()
    known = stage.enforcement.observe(LINK.ifindex, fresh=False).tables
    assert known is not None
    assert known.held == tables.lists(tables.in_force.slot)
