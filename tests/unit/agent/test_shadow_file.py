# SPDX-License-Identifier: Apache-2.0
"""A document beside the one in force: when it is rehearsed, and that it holds nothing up."""

import os
from pathlib import Path
from threading import Event, Thread, current_thread
from threading import enumerate as enumerate_threads
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import pytest

from krait.agent import faults, rehearsing, source
from krait.agent.backoff import LONGEST_S
from krait.agent.desired import Source, desire
from krait.agent.reading_back import AGAIN_S
from krait.agent.rounds import Rounds
from krait.agent.source import LOOK_S
from tests.unit.agent.clock import Clock, wait_in_standing_time
from tests.unit.agent.ports import Stage
from tests.unit.policy.bench import AUDIT_RULE, DOCUMENT

PLAIN = DOCUMENT.replace(f"    {AUDIT_RULE}\n", "")
TRIED = PLAIN.replace("[tcp/80, ", "[tcp/443, ")
MANY_PORTS = ", ".join(f"tcp/{2 * port}" for port in range(1, 1100))


@pytest.fixture(autouse=True)
def _nothing_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """To draw a traceback takes seconds."""
    monkeypatch.setattr(faults, "_log", Mock())


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    stage.document.write_text(PLAIN)
    return stage


def shadow_of(stage: Stage) -> str | None:
    """The path of the document whose policy was committed as the shadow."""
    committed = stage.enforcement.committed
    assert committed is not None
    assert committed.source.path == str(stage.document)
    assert (committed.shadow is None) == (not committed.compiled.shadow)
    return committed.shadow.path if committed.shadow else None


def look(agent: Rounds, clock: Clock) -> None:
    """Rounds until a change was seen, kept still, was read and worked out."""
    agent.play()
    clock.now_s += LOOK_S
    settle(agent)


def settle(agent: Rounds) -> None:
    """Rounds until nothing goes on behind them."""
    agent.play()
    while background := [each for each in enumerate_threads() if each.name == "krait-later"]:
        for each in background:
            each.join()
        agent.play()


def started(stage: Stage) -> Rounds:
    agent = stage.rounds()
    agent.start()
    settle(agent)
    return agent


def test_what_lies_there_at_the_start_is_read_once_the_document_is_in_force(stage: Stage) -> None:
    stage.shadow.write_text(TRIED)
    started(stage)
    assert shadow_of(stage) == str(stage.shadow)
    assert (stage.revision, stage.faults) == (2, []), "the first is of the document alone"


def test_an_edit_of_the_document_while_no_agent_lived_does_not_wait_for_the_shadow(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.shadow.write_text(TRIED)
    started(stage)
    stage.edit("tcp/80", "tcp/81")
    in_force = stage.revision
    when_read = []
    read = source.read

    def seen(
        path: Path,
        interface: str | None,
        known: Source | None = None,
        *,
        if_missing: str = "",
        with_tests: bool = True,
    ) -> Source:
        if path == stage.shadow:
            when_read.append(stage.revision)
        return read(path, interface, known, if_missing=if_missing, with_tests=with_tests)

    monkeypatch.setattr(source, "read", seen)
    started(stage)
    assert when_read == [in_force + 1], "its edit was in force by then"
    assert shadow_of(stage) == str(stage.shadow)


def test_tables_that_cannot_be_had_for_a_shadow_do_not_hold_up_a_revocation(
    stage: Stage, clock: Clock
) -> None:
    agent = started(stage)
    stage.kernel.refuses = {"load"}
    stage.shadow.write_text(TRIED)
    look(agent, clock)
    look(agent, clock)
    assert (shadow_of(stage), stage.faults) == (None, ["load: refused"])
    stage.edit("tcp/80", "tcp/81")
    agent.read_again()
    agent.play()
    agent.play()
    assert stage.revision == 2
    assert stage.faults == ["load: refused"]


def test_audit_rules_that_cannot_be_rehearsed_do_not_hold_up_their_document(
    stage: Stage, clock: Clock
) -> None:
    agent = started(stage)
    stage.kernel.refuses = {"load"}
    stage.document.write_text(DOCUMENT.replace("[tcp/80, ", "["))
    agent.read_again()
    agent.play()
    agent.play()
    assert (stage.revision, stage.faults) == (2, ["load: refused"])
    committed = stage.enforcement.committed
    assert committed is not None
    assert not committed.compiled.shadow
    stage.kernel.refuses = set()
    clock.now_s += LONGEST_S
    agent.play()
    assert (stage.revision, stage.faults) == (3, [])
    committed = stage.enforcement.committed
    assert committed is not None
    assert committed.compiled.numbers.shadow_rules


def test_who_else_may_change_it_is_told(stage: Stage) -> None:
    stage.shadow.write_text(TRIED)
    os.chown(stage.shadow, 1000, -1)
    started(stage)
    assert any("may be changed by user 1000" in each for each in stage.live.warnings)


def test_its_own_tests_are_not_asked(stage: Stage) -> None:
    stage.shadow.write_text(TRIED + "  tests: [{from: web, to: db, port: tcp/80, expect: allow}]\n")
    started(stage)
    assert (shadow_of(stage), stage.faults) == (str(stage.shadow), [])


def test_it_may_come_change_and_go_while_the_agent_lives(stage: Stage, clock: Clock) -> None:
    agent = started(stage)
    assert shadow_of(stage) is None
    stage.shadow.write_text(TRIED)
    look(agent, clock)
    assert shadow_of(stage) == str(stage.shadow)
    revision = stage.revision
    stage.shadow.write_text(TRIED.replace("tcp/443", "tcp/444"))
    look(agent, clock)
    assert stage.revision == revision + 1
    stage.shadow.unlink()
    look(agent, clock)
    assert shadow_of(stage) is None


def test_one_that_is_still_written_is_not_read(stage: Stage, clock: Clock) -> None:
    agent = started(stage)
    for part in (TRIED[:300], TRIED[:400], TRIED):
        stage.shadow.write_text(part)
        clock.now_s += LOOK_S / 2
        agent.play()
    assert (shadow_of(stage), stage.faults) == (None, [])


def test_a_bad_one_is_told_and_the_document_counts_all_the_same(stage: Stage, clock: Clock) -> None:
    stage.shadow.write_text(TRIED.replace("from: app", "from: nobody"))
    agent = started(stage)
    assert shadow_of(stage) is None
    assert len(stage.faults) == 1
    assert "nobody" in stage.faults[0]
    stage.edit("tcp/80", "tcp/81")
    agent.read_again()
    agent.play()
    assert stage.revision == 2
    stage.shadow.write_text(TRIED)
    look(agent, clock)
    assert (shadow_of(stage), stage.faults) == (str(stage.shadow), [])


def test_one_that_is_too_large_to_be_rehearsed_does_not_hold_up_a_commit(stage: Stage) -> None:
    stage.shadow.write_text(PLAIN.replace("[tcp/80, udp/53, icmp]", f"[{MANY_PORTS}]"))
    started(stage)
    assert (shadow_of(stage), stage.revision) == (None, 1)
    assert "port intervals" in stage.faults[0]


def test_another_documents_shadow_takes_the_place_of_audit_rules(stage: Stage) -> None:
    stage.document.write_text(DOCUMENT)
    stage.shadow.write_text(TRIED)
    started(stage)
    assert shadow_of(stage) == str(stage.shadow)
    committed = stage.enforcement.committed
    assert committed is not None
    assert "trial" not in committed.compiled.numbers.shadow_rules


def held_up(module: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch) -> Event:
    """Until this is set, what is called so does not go on in the background."""
    may_go_on, real = Event(), getattr(module, name)

    def slow(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if current_thread().name == "krait-later":
            assert may_go_on.wait(60)
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, slow)
    return may_go_on


@pytest.mark.parametrize(("module", "name"), [(source, "read"), (rehearsing, "desire")])
def test_a_revocation_waits_neither_until_the_shadow_is_read_nor_until_it_is_worked_out(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str
) -> None:
    stage.shadow.write_text(TRIED)
    may_go_on = held_up(module, name, monkeypatch)
    agent = stage.rounds()
    agent.start()
    agent.play()
    assert (shadow_of(stage), stage.revision) == (None, 1)
    stage.edit("tcp/80", "tcp/81")
    agent.read_again()
    agent.play()
    agent.play()
    assert (shadow_of(stage), stage.revision, stage.faults) == (None, 2, [])
    may_go_on.set()
    settle(agent)
    assert (shadow_of(stage), stage.revision) == (str(stage.shadow), 3)
    agent.play()
    assert stage.revision == 3


def test_an_edit_is_in_force_before_its_shadow_in_the_same_tables_and_under_the_same_numbers(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.shadow.write_text(TRIED)
    agent = started(stage)
    (tables,) = stage.kernel.loaded.values()
    rules = stage.enforcement.numbers.shadow_rules
    may_go_on = held_up(rehearsing, "desire", monkeypatch)
    for ports, revision in (("tcp/81", 3), ("tcp/82", 4)):
        stage.edit("tcp/8", f"{ports}, tcp/8")
        agent.read_again()
        agent.play()
        assert (shadow_of(stage), stage.revision) == (None, revision)
        assert stage.enforcement.numbers.shadow_rules == rules
    may_go_on.set()
    settle(agent)
    assert (shadow_of(stage), stage.revision) == (str(stage.shadow), 5)
    assert stage.enforcement.numbers.shadow_rules == rules
    assert list(stage.kernel.loaded.values()) == [tables]


def test_tables_that_somebody_else_wrote_are_written_anew_with_the_shadow(
    stage: Stage, clock: Clock
) -> None:
    stage.shadow.write_text(TRIED)
    agent = started(stage)
    (tables,) = stage.kernel.loaded.values()
    before = stage.revision
    wait_in_standing_time(lambda: (agent.play(), tables.readings)[1] > 0)
    tables.altered = ("pair",)
    clock.now_s += AGAIN_S
    wait_in_standing_time(lambda: (agent.play(), stage.revision)[1] > before)
    assert shadow_of(stage) == str(stage.shadow)
    assert list(stage.kernel.loaded.values()) == [tables]
    tables.altered = ()


def test_a_write_that_is_refused_leaves_the_shadows_room_as_it_is(
    stage: Stage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.shadow.write_text(TRIED)
    agent = started(stage)
    (tables,) = stage.kernel.loaded.values()
    may_go_on = held_up(rehearsing, "desire", monkeypatch)
    stage.edit("tcp/80", "tcp/81")
    agent.read_again()
    agent.play()
    assert (shadow_of(stage), stage.revision) == (None, 3)
    stage.kernel.refuses = {"write"}
    may_go_on.set()
    settle(agent)
    agent.play()
    assert (stage.revision, stage.faults) == (3, ["write: refused"])
    stage.kernel.refuses = set()
    agent.play()
    assert stage.revision == 3, "nothing else is put in force meanwhile"
    clock.now_s += LONGEST_S
    settle(agent)
    assert (shadow_of(stage), stage.revision, stage.faults) == (str(stage.shadow), 4, [])
    assert list(stage.kernel.loaded.values()) == [tables]


@pytest.mark.parametrize("error", [RecursionError("too deep"), SystemExit("at once")])
def test_what_nobody_expected_of_its_reading_fails_no_start_and_is_told_until_it_changes(
    stage: Stage, clock: Clock, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    read = source.read

    def fails(path: Path, *args: Any, **options: Any) -> Source:  # noqa: ANN401
        if path == stage.shadow:
            raise error
        return read(path, *args, **options)

    stage.shadow.write_text(TRIED)
    with monkeypatch.context() as bad:
        bad.setattr(source, "read", fails)
        agent = started(stage)
        agent.play()
        assert (stage.revision, stage.live.enforcing) == (1, True)
        assert stage.faults == [f"{type(error).__name__}: {error}"]
        assert [each.subject for each in stage.live.faults] == ["shadow"]
    stage.shadow.write_text(TRIED + "\n")
    look(agent, clock)
    assert (shadow_of(stage), stage.faults) == (str(stage.shadow), [])


@pytest.mark.parametrize("for_what", ["read", "work out"])
def test_no_thread_for_it_is_told_and_it_is_tried_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, for_what: str
) -> None:
    stage.shadow.write_text(TRIED)
    start = Thread.start
    none_left, begun = RuntimeError("can't start new thread"), []

    def fails(thread: Thread) -> None:
        if thread.name == "krait-later":
            begun.append(thread)
            if for_what == "read" or len(begun) > 1:
                raise none_left
        start(thread)

    with monkeypatch.context() as full:
        full.setattr(Thread, "start", fails)
        agent = started(stage)
        agent.play()
        assert (stage.revision, stage.live.enforcing) == (1, True)
        assert stage.faults == [f"RuntimeError: {none_left}"]
        assert [each.subject for each in stage.live.faults] == ["shadow"]
    settle(agent)
    assert (shadow_of(stage), stage.faults) == (str(stage.shadow), [])


def test_what_goes_wrong_in_the_background_is_told_and_ends_no_round(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = desire

    def fails(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if "shadow" in kwargs:
            raise ZeroDivisionError("by the shadow")
        return real(*args, **kwargs)

    monkeypatch.setattr(rehearsing, "desire", fails)
    stage.shadow.write_text(TRIED)
    agent = started(stage)
    assert (stage.revision, stage.faults) == (1, ["ZeroDivisionError: by the shadow"])
    stage.edit("tcp/80", "tcp/81")
    agent.read_again()
    settle(agent)
    assert (stage.revision, stage.faults) == (2, ["ZeroDivisionError: by the shadow"])
    assert [each.subject for each in stage.live.faults] == ["shadow"]
