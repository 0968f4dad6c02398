# SPDX-License-Identifier: Apache-2.0
"""Random scenarios find each of the faults in table.py: the property test would not let it pass.

Each fault is put into a copy of ebpf/, built, loaded and played against the reference, with as many
packets as each run of the property test plays. An ordinary run looks for a few; KRAIT_LONG=1 for
all.
"""

import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.figures import Figures
from tests.kernel.mutants.mutant import EBPF, Mutant
from tests.kernel.mutants.table import MUTANTS
from tests.kernel.property.amount import ENOUGH, LONG, ROUND, SEED
from tests.kernel.property.kernel_judge import KernelJudge
from tests.kernel.property.play import Play
from tests.requirements import need_tools
from tests.strategies.scenario import Scenario
from tests.strategies.traffic import scenarios


class Drawn:
    """Scenarios as the property test draws them, the same for every mutant."""

    def __init__(self) -> None:
        self._known: list[Scenario] = []
        self._seed = SEED

    def __getitem__(self, number: int) -> Scenario:
        while number >= len(self._known):
            self._draw()
        return self._known[number]

    def _draw(self) -> None:
        @settings(
            max_examples=ROUND,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(scenarios())
        def keep(scenario: Scenario) -> None:
            self._known.append(scenario)

        seed(self._seed)(keep)()
        self._seed += 1


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return Drawn()


def built(folder: Path, mutant: Mutant, name: str = "krait") -> Path:
    """The object of this name, with this fault in it."""
    need_tools("clang", "llvm-strip")
    ebpf, target = folder / "ebpf", folder / f"{name}.bpf.o"
    shutil.copytree(EBPF, ebpf)
    mutant.apply(ebpf)
    ran = subprocess.run([ebpf / "build", target], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"this fault does not compile: {ran.stderr}"
    return target


def packets_until_they_differ(kernel: KernelJudge, drawn: Drawn) -> int | None:
    """None: they agree on ENOUGH packets."""
    play, number = Play(kernel), 0
    while play.packets < ENOUGH:
        try:
            play(drawn[number])
        except (AssertionError, IndexError):  # the latter: under a number that is nobody's
            return play.packets
        number += 1
    return None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_text_that_a_fault_replaces_is_in_the_source_once(
    tmp_path: Path, mutant: Mutant
) -> None:
    shutil.copytree(EBPF, tmp_path / "ebpf")
    mutant.apply(tmp_path / "ebpf")


@pytest.mark.parametrize(
    "mutant",
    [mutant for mutant in MUTANTS if LONG or mutant.quick],
    ids=lambda mutant: mutant.name,
)
def test_random_scenarios_find_the_fault(
    tmp_path: Path, mutant: Mutant, drawn: Drawn, figures: Figures
) -> None:
    with closing(KernelJudge(built(tmp_path, mutant))) as kernel:
        packets = packets_until_they_differ(kernel, drawn)
    assert packets is not None, f"{ENOUGH:,} packets agree: improve tests/strategies"
    figures(f"found within {packets:,} packets: {mutant.name}")
