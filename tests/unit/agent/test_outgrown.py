# SPDX-License-Identifier: Apache-2.0
"""Larger tables that were made and take no policy: the ones before them stay in use."""

import pytest

from krait.agent.backoff import LONGEST_S
from krait.agent.rounds import Rounds
from krait.kernel.hook import Hook
from tests.unit.agent.clock import Clock
from tests.unit.agent.edits import A_RULE
from tests.unit.agent.ports import Stage

MORE_RULES = "".join(
    f"    - {{name: more-{n}, from: web, to: db, ports: tcp/{n}}}\n" for n in range(1, 99)
)


@pytest.fixture
def outgrown(stage: Stage, clock: Clock, agent: Rounds) -> Rounds:
    """One whose document needs larger tables, which the kernel makes and does not fill."""
    stage.kernel.refuses = {"write"}
    stage.edit("rules:\n", f"rules:\n{MORE_RULES}")
    agent.read_again()
    agent.play()
    clock.now_s += 1.0
    assert stage.faults == ["write: refused"]
    return agent


def test_the_tables_in_force_stay_in_use_and_no_others_are_left(
    stage: Stage, outgrown: Rounds
) -> None:
    outgrown.play()
    assert (stage.live.enforcing, stage.revision) == (True, 1)
    assert stage.kernel.loaded.keys() == {1}


def test_a_hook_that_somebody_empties_is_filled_again_all_the_same(
    stage: Stage, outgrown: Rounds
) -> None:
    kept = dict(stage.kernel.seats)
    stage.kernel.seats = dict.fromkeys(Hook, ())
    outgrown.play()
    assert stage.kernel.seats == kept


def test_an_edit_that_fits_is_in_force_at_once(
    stage: Stage, outgrown: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = stage.kernel.check
    monkeypatch.setattr(
        stage.kernel, "check", lambda what: check(what) if len(stage.kernel.loaded) > 1 else None
    )
    stage.edit(MORE_RULES, "")
    stage.edit(*A_RULE)
    outgrown.read_again()
    outgrown.play()
    assert (stage.revision, stage.faults) == (2, [])
    assert stage.kernel.loaded.keys() == {1}


def test_they_grow_once_the_kernel_takes_the_policy(
    stage: Stage, clock: Clock, outgrown: Rounds
) -> None:
    stage.kernel.refuses = set()
    clock.now_s += LONGEST_S
    outgrown.play()
    assert (stage.live.enforcing, stage.revision, stage.faults) == (True, 2, [])
    (left,) = stage.kernel.loaded.values()
    assert left.capacity.rules > 98
    assert {seats[0].program_id for seats in stage.kernel.seats.values()} == set(
        left.generation.programs.values()
    )


def test_programs_of_another_build_go_on_where_ours_take_no_policy(
    stage: Stage, agent: Rounds
) -> None:
    stage.kernel.outdated = {1}
    stage.kernel.refuses = {"write"}
    agent.play()
    agent.play()
    assert stage.kernel.loaded.keys() == {1}
    assert (stage.live.enforcing, stage.faults) == (True, ["write: refused"])
