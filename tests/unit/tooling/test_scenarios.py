# SPDX-License-Identifier: Apache-2.0
"""What is said to be proven in the guests is run there, and what is there to run is run."""

from tests.netns.scenarios import on_one_lab
from tests.vm.test_scenarios import PROOFS


def test_every_scenario_over_one_lab_is_a_proof_and_every_proof_a_scenario() -> None:
    there = {name for name in on_one_lab.__all__ if name.startswith("test_")}
    run = {test.partition("[")[0] for tests in PROOFS.values() for test in tests}
    assert run == there
