# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from dataclasses import replace
from threading import Event

import pytest

from krait.agent import rehearsing
from krait.agent.backoff import LONGEST_S
from krait.agent.desired import NO_CLOCK, Desired, Source
from krait.agent.rehearsing import Rehearsing, Score
from krait.common.errors import UsageError
from krait.policy.numbering import Numbers
from tests.patience import PATIENCE_S
from tests.unit.agent.world import DESIRED

SHADOW = replace(DESIRED.source, path="/root/shadow.yaml")
SCORE = Score(DESIRED, SHADOW, NO_CLOCK, Numbers())
UNFIT, FULL = UsageError("it does not fit"), UsageError("no room for a shadow")


def with_it(*_: object, shadow: Source | None = None, **__: object) -> Desired:
    return replace(DESIRED, shadow=shadow)


def unfit(*_: object, shadow: Source | None = None, **__: object) -> Desired:
    if shadow is not None:
        raise UNFIT
    return DESIRED


def nothing_fits(*_: object, shadow: Source | None = None, **__: object) -> Desired:
    raise UNFIT if shadow is not None else UsageError("nor do its own audit rules")


def ends_the_thread(*_: object, **__: object) -> Desired:
    raise SystemExit("by the shadow")


def worked_out(
    monkeypatch: pytest.MonkeyPatch, desire: Callable[..., Desired]
) -> tuple[Rehearsing, Desired]:
    """One that has worked out the shadow under the key `a`, while DESIRED was in force."""
    may_go_on, is_done = Event(), Event()

    def held_up(*args: object, **options: object) -> Desired:
        assert may_go_on.wait(PATIENCE_S)
        return desire(*args, **options)

    monkeypatch.setattr(rehearsing, "desire", held_up)
    found = Rehearsing(is_done.set)
    found.turn_to("a", 0.0)
    assert found.of(SCORE, "a", DESIRED) is DESIRED, "until then what is in force stays"
    may_go_on.set()
    assert is_done.wait(PATIENCE_S)
    return found, found.of(SCORE, "a", DESIRED)


def test_a_shadow_is_rehearsed_if_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    found, whole = worked_out(monkeypatch, with_it)
    assert (whole.shadow, found.unfit) == (SHADOW, None)
    assert found.of(SCORE, "a", whole) is whole


def test_else_the_documents_own_audit_rules_are_and_why_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, whole = worked_out(monkeypatch, unfit)
    assert (whole, found.unfit) == (DESIRED, UNFIT)


def test_if_these_do_not_fit_either_the_document_counts_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, whole = worked_out(monkeypatch, nothing_fits)
    assert (whole, found.unfit) == (DESIRED, UNFIT)
    assert found.of(SCORE, "a", whole) is whole


def test_nothing_that_ends_its_thread_is_raised_for_who_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, whole = worked_out(monkeypatch, ends_the_thread)
    assert whole is DESIRED
    assert str(found.unfit) == "SystemExit: by the shadow"


def test_without_tables_nothing_is_rehearsed_until_it_is_due_or_something_else_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, whole = worked_out(monkeypatch, with_it)

    def is_on(asked: str, now_s: float) -> bool:
        found.turn_to(asked, now_s)
        return found.is_on

    found.put_off(FULL, 0.0)
    assert not is_on("a", 0.0)
    found.came_into_force()
    assert found.no_tables is FULL, "what is in force has no shadow"
    assert is_on("b", 0.0)
    found.put_off(FULL, 0.0)
    assert is_on("b", LONGEST_S)
    assert found.no_tables is FULL, "until it is in force"
    assert found.of(SCORE, "a", whole) is whole
    assert found.no_tables is None
