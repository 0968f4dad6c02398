# SPDX-License-Identifier: Apache-2.0
"""What stands for an interface, and each way in which it changes, with a crash at each write."""

from collections.abc import Callable
from dataclasses import replace
from errno import ENOSPC
from pathlib import Path

import pytest

from krait.agent.managed.orders import Orders, Standing, begin_trial, read_standing
from krait.agent.managed.turn import TooLate, Turn
from krait.agent.paths import Paths
from krait.common.errors import SystemRefused
from krait.kernel import files
from krait.kernel.lock import Held
from tests.unit.standing import stand

DAY_S = 86_400.0
OLD, NEW, NEWER = Orders("/etc/krait/wg0.yaml"), Orders("/srv/new.yaml"), Orders("/srv/newer.yaml")
NOTHING, CONFIRMED, FIRST, TRIED = (
    Standing(),
    Standing(OLD),
    Standing(NEW, begin_trial(DAY_S, None)),
    Standing(NEW, begin_trial(DAY_S, OLD)),
)
STATES = {"nothing": NOTHING, "orders": CONFIRMED, "a first trial": FIRST, "a trial": TRIED}


def going_back(turn: Turn) -> None:
    before = turn.standing.confirmed
    if before is None:
        turn.withdraw_orders()
    else:
        turn.return_to_before(before)


CHANGES: dict[str, Callable[[Turn], object]] = {
    "order": lambda turn: turn.order(NEWER),
    "order on trial": lambda turn: turn.order(NEWER, 600),
    "confirm": Turn.confirm,
    "go back": going_back,
    "clear": Turn.clear,
}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(state=tmp_path / "state", run=tmp_path / "run")


def after(paths: Paths, state: Standing, change: Callable[[Turn], object]) -> Standing:
    stand(paths, state)
    with Turn.take("wg0", paths) as turn:
        change(turn)
        return turn.standing


@pytest.mark.parametrize("state", STATES)
def test_what_is_ordered_is_confirmed_at_once(paths: Paths, state: str) -> None:
    assert after(paths, STATES[state], CHANGES["order"]) == Standing(NEWER)


@pytest.mark.parametrize("state", STATES)
def test_of_trials_in_a_row_all_go_back_to_what_was_confirmed_last(
    paths: Paths, state: str
) -> None:
    found = after(paths, STATES[state], CHANGES["order on trial"])
    assert (found.orders, found.confirmed) == (NEWER, STATES[state].confirmed)
    assert found.trial is not None
    assert found.trial.left_s() > 0


def test_what_is_confirmed_stays_and_what_was_not_on_trial_is_told(paths: Paths) -> None:
    assert after(paths, TRIED, CHANGES["confirm"]) == Standing(NEW)
    with Turn.take("wg0", paths) as turn:
        assert turn.confirm() is None
        assert turn.standing == Standing(NEW)


def test_a_confirmation_after_the_trial_is_too_late_and_changes_nothing(paths: Paths) -> None:
    over = replace(TRIED, trial=begin_trial(-1, OLD))
    stand(paths, over)
    with Turn.take("wg0", paths) as turn:
        with pytest.raises(TooLate):
            turn.confirm()
        assert turn.standing == over


def test_a_trial_goes_on_until_what_was_before_is_in_force(paths: Paths) -> None:
    found = after(paths, TRIED, CHANGES["go back"])
    assert found == Standing(OLD, TRIED.trial)
    assert found.confirmed == OLD


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("state", STATES)
def test_a_crash_at_any_write_leaves_no_orders_that_nobody_confirmed_without_a_way_back(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, state: str, change: str
) -> None:
    before = STATES[state]
    wanted = after(paths, before, CHANGES[change])
    unconfirmed = {before.orders, wanted.orders} - {before.confirmed, wanted.confirmed, None}
    left = 0
    while True:
        stand(paths, before)
        with monkeypatch.context() as patched, Turn.take("wg0", paths) as turn:
            fail_after(patched, left)
            try:
                CHANGES[change](turn)
            except SystemRefused:
                pass
            else:
                break
        found = read_standing("wg0", paths)
        assert found.orders not in unconfirmed or found.trial is not None, (left, found)
        assert found.confirmed in (before.confirmed, wanted.confirmed), (left, found)
        left += 1
    assert left, "nothing was written"


def test_the_turn_is_one_processs_and_leaves_nothing_where_nothing_stands(paths: Paths) -> None:
    with Turn.take("wg0", paths) as turn:
        with pytest.raises(Held) as held:
            Turn.take("wg0", paths)
        assert "kill" not in held.value.hint
        turn.order(OLD)
    assert paths.turn_of("wg0").exists()
    with Turn.take("wg0", paths) as turn:
        turn.clear()
    assert list(paths.run.iterdir()) == list(paths.state.iterdir()) == []


def fail_after(monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    """The disk takes so many changes of names, and no more."""
    left = calls

    def counted(call: Callable[..., None]) -> Callable[..., None]:
        def change(*arguments: object, **options: object) -> None:
            nonlocal left
            if not left:
                raise OSError(ENOSPC, "no space")
            left -= 1
            call(*arguments, **options)

        return change

    for name in ("replace_file", "remove_file"):
        monkeypatch.setattr(f"krait.agent.managed.turn.{name}", counted(getattr(files, name)))
