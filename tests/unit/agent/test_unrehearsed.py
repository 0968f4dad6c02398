# SPDX-License-Identifier: Apache-2.0
"""A shadow that cannot be put in force, whatever it is that is wrong: all the rest is."""

from hashlib import sha256
from threading import Thread
from typing import Any
from unittest.mock import Mock

import pytest

from krait.agent import diff, faults
from krait.agent.backoff import LONGEST_S
from krait.common.errors import UsageError
from krait.kernel.hook import Hook
from krait.policy.capacity import Capacity
from krait.policy.compile import Compiled
from krait.policy.image import Image, draw
from tests.unit.agent.clock import Clock
from tests.unit.agent.fails import raising
from tests.unit.agent.ports import FakeLoads, FakeTables, Refused, Stage
from tests.unit.policy.bench import AUDIT_RULE, DOCUMENT

PLAIN = DOCUMENT.replace(f"    {AUDIT_RULE}\n", "")
TRIED = PLAIN.replace("[tcp/80, ", "[tcp/443, ")
MANY_PORTS = ", ".join(f"tcp/{2 * port}" for port in range(1, 1100))
SHADOWS = {"another document": (PLAIN, TRIED), "its own audit rules": (DOCUMENT, None)}

pytestmark = pytest.mark.usefixtures("at_once")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes on in the background is done before anybody looks, and nothing is logged."""
    start = Thread.start

    def done(thread: Thread) -> None:
        start(thread)
        if thread.name == "krait-later":
            thread.join()

    monkeypatch.setattr(Thread, "start", done)
    monkeypatch.setattr(faults, "_log", Mock())


@pytest.fixture(params=list(SHADOWS))
def rehearsing(request: pytest.FixtureRequest, stage: Stage) -> Stage:
    document, shadow = SHADOWS[request.param]
    stage.document.write_text(document)
    if shadow is not None:
        stage.shadow.write_text(shadow)
    return stage


class Bad:
    """What can be done with anything but a shadow."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
        self._patch, self._error = monkeypatch, error

    def draw(self) -> None:
        def fails(compiled: Compiled, *rest: Any) -> Image:  # noqa: ANN401
            self._refuse(compiled.shadow)
            return draw(compiled, *rest)

        self._patch.setattr(diff, "draw", fails)

    def load(self) -> None:
        real = FakeLoads.load

        def fails(loads: FakeLoads, capacity: Capacity, after: Any = None) -> Any:  # noqa: ANN401
            self._refuse(capacity.shadow_rules)
            return real(loads, capacity, after)

        self._patch.setattr(FakeLoads, "load", fails)

    def write(self) -> None:
        real = FakeTables.write

        def fails(tables: FakeTables, slot: int, image: Image, **known: Any) -> None:  # noqa: ANN401
            self._refuse(image.arrays.get("shadow_pair"))
            real(tables, slot, image, **known)

        self._patch.setattr(FakeTables, "write", fails)

    def _refuse(self, of_a_shadow: object) -> None:
        if of_a_shadow:
            raise self._error


def in_force(stage: Stage, *, with_a_shadow: bool = False) -> bool:
    """Whether a filter judges by the document as it is on the disk."""
    committed = stage.enforcement.committed
    assert committed is not None
    is_newest = committed.source.sha256 == sha256(stage.document.read_bytes()).hexdigest()
    return is_newest and stage.live.enforcing and bool(committed.compiled.shadow) == with_a_shadow


@pytest.mark.parametrize("step", ["draw", "load", "write"])
def test_an_unexpected_error_of_one_fails_no_start_and_holds_up_no_edit_and_no_filter(
    rehearsing: Stage, clock: Clock, step: str
) -> None:
    stage = rehearsing
    with pytest.MonkeyPatch.context() as patch:
        getattr(Bad(patch, OverflowError("by the shadow")), step)()
        agent = stage.rounds()
        agent.start()
        assert in_force(stage)
        agent.play()
        stage.edit("[tcp/80, udp/53, icmp]", "[udp/53, icmp]")
        agent.read_again()
        stage.kernel.seats[Hook.EGRESS] = ()
        for _ in range(2):
            agent.play()
        assert in_force(stage)
        assert stage.faults == ["OverflowError: by the shadow"]
        assert [each.subject for each in stage.live.faults] == ["shadow"]
    clock.now_s += LONGEST_S
    agent.play()
    assert stage.faults == []
    assert in_force(stage, with_a_shadow=True)


def test_tables_that_are_refused_for_one_leave_no_start_without_a_filter(
    rehearsing: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    Bad(monkeypatch, Refused("no room")).load()
    agent = rehearsing.rounds()
    agent.start()
    assert in_force(rehearsing)
    agent.play()
    assert [each.subject for each in rehearsing.live.faults] == ["shadow"]


def test_a_write_that_is_refused_for_another_document_is_no_refusal_of_the_one_in_force(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.document.write_text(PLAIN)
    stage.shadow.write_text(TRIED)
    Bad(monkeypatch, Refused("no room")).write()
    agent = stage.rounds()
    agent.start()
    agent.play()
    assert in_force(stage)
    assert [each.subject for each in stage.live.faults] == ["shadow"]


def test_a_filter_that_was_lost_is_put_back_though_neither_it_nor_the_audit_rules_fit(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.document.write_text(PLAIN)
    stage.shadow.write_text(TRIED)
    monkeypatch.setattr(
        "krait.agent.rehearsing.desire", raising(UsageError("nor do its audit rules"))
    )
    agent = stage.rounds()
    agent.start()
    agent.play()
    stage.kernel.seats[Hook.EGRESS] = ()
    agent.play()
    assert stage.kernel.seats[Hook.EGRESS]
    assert [each.subject for each in stage.live.faults] == ["shadow"]


def test_audit_rules_that_do_not_fit_do_not_hold_up_their_document(stage: Stage) -> None:
    stage.document.write_text(
        DOCUMENT.replace(", ports: tcp/80, action", f", ports: [{MANY_PORTS}], action")
    )
    agent = stage.rounds()
    agent.start()
    agent.play()
    assert (stage.revision, stage.live.enforcing) == (1, True)
    assert "port intervals" in stage.faults[0]
    assert [each.subject for each in stage.live.faults] == ["shadow"]
    stage.edit("[tcp/80, udp/53, icmp]", "[udp/53, icmp]")
    agent.read_again()
    agent.play()
    assert stage.revision == 2
    stage.document.write_text(DOCUMENT)
    agent.read_again()
    agent.play()
    assert (stage.revision, stage.faults) == (3, [])
