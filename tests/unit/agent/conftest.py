# SPDX-License-Identifier: Apache-2.0
import pytest

from tests.unit.agent.clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr("krait.agent.rounds.time.monotonic", found.monotonic)
    return found
