# SPDX-License-Identifier: Apache-2.0
"""The kernel program and the reference agree on every packet of every random scenario.

Each run plays the same 20,000 packets, unless it is asked for others (amount.py). What differs is
shrunk and printed as JSON, and stays in counterexamples/ in a file named by the fault. That the
packets suffice is known by tests/kernel/mutants.
"""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, seed, settings

from krait.common.abi import Rehearsal
from krait.common.reason import Reason
from tests.figures import Figures
from tests.kernel.property.amount import ENOUGH, PACKETS, ROUND, SEED
from tests.kernel.property.play import Play, Told
from tests.strategies.scenario import Scenario
from tests.strategies.text import scenario_as_json, scenario_from_json
from tests.strategies.traffic import scenarios

COUNTEREXAMPLES = sorted((Path(__file__).parent / "counterexamples").glob("*.json"))

UNREACHED = frozenset({Reason.NOT_READY, Reason.NO_PAIR, Reason.FLOW_FULL})
"""What a committed policy and a roomy flow table cannot come to: tests/kernel/test_datapath.py."""


def test_the_kernel_and_the_reference_agree(play: Play, figures: Figures) -> None:
    @settings(
        max_examples=ROUND,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),  # scenarios are long on purpose
    )
    @given(scenarios())
    def agree(scenario: Scenario) -> None:
        note(scenario_as_json(scenario))
        play(scenario)

    round_seed, before = SEED, Counter(play.reasons)
    while (reasons := play.reasons - before).total() < PACKETS:
        seed(round_seed)(agree)()
        round_seed += 1
    figures(f"{reasons.total():,} packets judged alike, seeds {SEED} to {round_seed - 1}")
    told = ", ".join(f"{count:,} {each.name}" for each, count in play.rehearsals.items())
    figures(f"rehearsed by shadows: {told}")
    figures(
        f"rejected: {', '.join(f'{many:,} {what.value}' for what, many in play.rejections.items())}"
    )
    if PACKETS >= ENOUGH:
        assert set(play.rejections) == set(Told)
        assert set(play.rehearsals) == set(Rehearsal)
        missing = set(Reason) - UNREACHED - reasons.keys()
        assert not missing, f"the generator no longer reaches {missing}"
        assert reasons.keys().isdisjoint(UNREACHED)


@pytest.mark.parametrize("kept", COUNTEREXAMPLES, ids=lambda path: path.stem)
def test_what_once_differed_agrees(play: Play, kept: Path) -> None:
    play(scenario_from_json(kept.read_text()))
