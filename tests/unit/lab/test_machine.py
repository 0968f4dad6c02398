# SPDX-License-Identifier: Apache-2.0
import pytest

from krait.lab import machine
from krait.lab.machine import unhurried


@pytest.mark.parametrize(("scale", "rest_s"), [(1, 0.001), (2, 0.004), (10, 0.1), (30, 0.1)])
def test_a_slower_machine_rests_longer_between_steps_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch, scale: float, rest_s: float
) -> None:
    monkeypatch.setattr(machine, "TIMEOUT_SCALE", scale)
    assert unhurried(0.001, 0.1) == pytest.approx(rest_s)
