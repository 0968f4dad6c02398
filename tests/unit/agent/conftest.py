# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from krait.agent import ends
from krait.agent.rounds import Rounds
from tests.unit.agent.clock import Clock
from tests.unit.agent.ports import Stage
from tests.unit.agent.wall import Wall


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr("krait.agent.rounds.time.monotonic", found.monotonic)
    return found


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    found = Wall()
    monkeypatch.setattr(ends, "time", found)
    return found


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.fixture
def agent(stage: Stage) -> Rounds:
    """One whose policy is in force."""
    found = stage.rounds()
    found.start()
    assert (stage.live.enforcing, stage.faults) == (True, [])
    return found
