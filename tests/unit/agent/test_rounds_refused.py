# SPDX-License-Identifier: Apache-2.0
"""Rounds of an agent whose kernel refuses: what is left as it was, and when it is tried again."""

from dataclasses import replace
from typing import Any

import pytest

from krait.agent.backoff import LONGEST_S
from krait.agent.desired import Desired, Source, desire
from krait.agent.rounds import Rounds
from krait.kernel.hook import Hook
from tests.unit.agent.clock import Clock
from tests.unit.agent.edits import A_RULE
from tests.unit.agent.ports import LINK, Refused, Stage


def test_a_start_that_fails_between_two_hooks_leaves_neither_attached(stage: Stage) -> None:
    stage.kernel.refuses = {"attach egress"}
    with pytest.raises(Refused, match="attach egress"):
        stage.rounds().start()
    assert stage.kernel.seats == {Hook.INGRESS: (), Hook.EGRESS: ()}
    assert stage.kernel.loaded == {}


def test_a_wait_for_readers_that_failed_is_waited_anew_before_anything_is_written(
    stage: Stage, clock: Clock, agent: Rounds
) -> None:
    stage.kernel.refuses = {"wait"}
    stage.edit(*A_RULE)
    agent.read_again()
    agent.play()
    assert (stage.revision, stage.faults) == (2, [])  # it fails behind this commit
    stage.edit(A_RULE[1] or "rules:\n", f"rules:\n{A_RULE[0]}")
    agent.read_again()
    agent.play()
    assert (stage.revision, stage.faults) == (2, ["wait: refused"])
    stage.kernel.refuses = set()
    clock.now_s += LONGEST_S
    agent.play()
    assert (stage.revision, stage.faults) == (3, [])


def test_a_start_that_fails_takes_nothing_off_that_was_there(stage: Stage, agent: Rounds) -> None:
    del agent
    kept = stage.kernel.seats[Hook.INGRESS]
    stage.kernel.seats[Hook.EGRESS] = ()
    stage.kernel.refuses = {"attach egress"}
    with pytest.raises(Refused, match="attach egress"):
        stage.rounds().start()
    assert stage.kernel.seats[Hook.INGRESS] == kept
    assert stage.kernel.loaded


def test_what_the_kernel_does_not_take_is_tried_again_ever_more_seldom(
    stage: Stage, agent: Rounds, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.edit(*A_RULE)
    agent.read_again()
    tried: list[float] = []
    check = stage.kernel.check

    def refuse(what: str) -> None:
        if what == "write":
            tried.append(clock.now_s - 1_000.0)
        check(what)

    monkeypatch.setattr(stage.kernel, "check", refuse)
    stage.kernel.refuses = {"write"}
    for _ in range(16):
        agent.play()
        clock.now_s += 1.0
    assert tried == [0.0, 1.0, 3.0, 7.0, 15.0]
    assert stage.faults == ["write: refused"]
    assert (stage.revision, stage.live.enforcing) == (1, True)
    stage.kernel.refuses = set()
    clock.now_s += LONGEST_S
    agent.play()
    assert (stage.revision, stage.faults) == (2, [])


def test_a_commit_is_done_though_counters_could_not_be_forgotten(
    stage: Stage, agent: Rounds
) -> None:
    stage.kernel.refuses = {"forget"}
    stage.edit("name: web-db,", "name: into-db,")
    agent.read_again()
    agent.play()
    assert (stage.revision, stage.faults) == (2, [])
    assert "into-db" in stage.enforcement.numbers.rules
    agent.play()
    assert stage.revision == 2


def test_a_document_that_fails_as_nobody_expected_is_told_and_tried_again(
    stage: Stage, agent: Rounds, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        tried.append(clock.now_s - 1_000.0)
        raise MemoryError

    tried: list[float] = []
    with monkeypatch.context() as patched:
        patched.setattr("krait.agent.fitting.desire", fail)
        stage.edit(*A_RULE)
        agent.read_again()
        for _ in range(8):
            agent.play()
            clock.now_s += 1.0
            assert (stage.faults, stage.live.enforcing) == (["MemoryError: "], True)
    assert sorted(set(tried)) == [0.0, 1.0, 3.0, 7.0]
    clock.now_s += LONGEST_S
    agent.play()
    assert (stage.revision, stage.faults) == (2, [])


def test_who_is_who_counts_anew_beside_a_document_that_fails_as_nobody_expected(
    stage: Stage, agent: Rounds, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address that leaves the node meanwhile is not the node's for as long as that lasts."""
    stage.edit(*A_RULE)
    new = stage.document.read_bytes()

    def fails(source: Source, *rest: Any, **named: Any) -> Desired:  # noqa: ANN401 - handed on
        if source.data == new:
            raise MemoryError
        return desire(source, *rest, **named)

    monkeypatch.setattr("krait.agent.fitting.desire", fails)
    agent.read_again()
    agent.play()
    assert (stage.revision, stage.faults) == (1, ["MemoryError: "])
    stage.kernel.link = replace(LINK, addresses=LINK.addresses[:1])
    clock.now_s += 1.0
    agent.play()
    assert stage.revision > 1
    assert stage.faults == ["MemoryError: "]
