# SPDX-License-Identifier: Apache-2.0
"""Programs of another build that run when an agent starts, and what becomes of the policy."""

from pathlib import Path

import pytest

from krait.agent.backoff import LONGEST_S
from tests.unit.agent.clock import Clock
from tests.unit.agent.ports import Stage
from tests.unit.policy.bench import AUDIT_RULE, DOCUMENT


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """An earlier build's agent was here, and has ended."""
    stage = Stage(tmp_path)
    stage.document.write_text(DOCUMENT.replace(f"    {AUDIT_RULE}\n", ""))
    stage.rounds().start()
    stage.kernel.outdated = set(stage.kernel.loaded)
    return stage


def test_they_are_replaced_at_the_start(stage: Stage) -> None:
    before = set(stage.kernel.loaded)
    stage.rounds().start()
    assert before.isdisjoint(stage.kernel.loaded)
    assert (stage.revision, stage.faults) == (2, [])


def test_where_ours_cannot_be_loaded_a_revocation_goes_by_the_old_ones(
    stage: Stage, clock: Clock
) -> None:
    stage.kernel.refuses = {"load"}
    agent = stage.rounds()
    agent.start()
    agent.play()
    before = set(stage.kernel.loaded)
    revision = stage.revision
    stage.edit("tcp/80", "tcp/81")
    agent.read_again()
    agent.play()
    agent.play()
    assert stage.revision == revision + 1
    assert stage.faults == ["load: refused"]
    assert set(stage.kernel.loaded) == before
    stage.kernel.refuses = set()
    clock.now_s += LONGEST_S
    agent.play()
    assert before.isdisjoint(stage.kernel.loaded)
    assert stage.faults == []
