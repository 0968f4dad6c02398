# SPDX-License-Identifier: Apache-2.0
"""The end of rules by a clock that passes and may be set, and what the agent makes of it."""

from pathlib import Path

from krait.agent.desired import NO_CLOCK, Source
from krait.agent.ends import Ends
from krait.policy.document import load
from tests.unit.agent.ports import Stage
from tests.unit.agent.wall import BOOT_S, END_S, NS, UNTIL, Wall
from tests.unit.policy.bench import DOCUMENT


def source(text: str) -> Source:
    return Source(load(text.encode(), "test.yaml"), "test.yaml", "")


ENDING = source(DOCUMENT.replace(*UNTIL))


def test_without_an_end_the_clock_is_nobodys_business(wall: Wall) -> None:
    clock = Ends()
    assert clock.clock(source(DOCUMENT)) == NO_CLOCK
    wall.boot_s += 1e6
    assert clock.clock(source(DOCUMENT)) == NO_CLOCK


def test_the_answer_is_another_only_when_something_has_ended(wall: Wall) -> None:
    clock = Ends()
    first = clock.clock(ENDING)
    assert (first.now_s < END_S, first.boot_ns) == (True, BOOT_S * NS)
    wall.since_boot_s = 999.9
    assert clock.clock(ENDING) == first
    wall.since_boot_s = 1000
    assert clock.clock(ENDING).now_s == END_S


def test_a_clock_that_was_set_is_told_and_one_that_is_slewed_is_not(wall: Wall) -> None:
    clock = Ends()
    first = clock.clock(ENDING)
    wall.boot_s += 0.05
    assert clock.clock(ENDING) == first
    wall.boot_s += 60
    assert clock.clock(ENDING).boot_ns == round((BOOT_S + 60.05) * NS)
    wall.boot_s = BOOT_S + 2000
    assert clock.clock(ENDING).now_s == END_S, "set past the end"
    wall.boot_s = BOOT_S
    assert clock.clock(ENDING).now_s < END_S, "and back"


def test_the_clock_of_what_is_in_force_is_kept_while_a_newer_document_does_not_fit(
    wall: Wall, tmp_path: Path
) -> None:
    stage = Stage(tmp_path)
    stage.edit(*UNTIL)
    agent = stage.rounds()
    agent.start()
    stage.document.write_text(DOCUMENT.replace("AQEB", "BAEB"))
    agent.read_again()
    agent.play()
    assert (stage.revision, len(stage.faults)) == (1, 1)
    wall.boot_s += 60
    agent.play()
    assert stage.revision == 2
    committed = stage.enforcement.committed
    assert committed is not None
    assert committed.compiled.clock_ns == (BOOT_S + 60) * NS


def test_a_clock_that_is_behind_the_time_since_boot_is_written_all_the_same(
    wall: Wall, tmp_path: Path
) -> None:
    stage = Stage(tmp_path)
    stage.edit(*UNTIL)
    wall.boot_s, wall.since_boot_s = -1000, 1001
    stage.rounds().start()
    assert (stage.revision, stage.faults) == (1, [])


def test_the_agent_commits_when_a_rule_ends_and_when_the_clock_is_set(
    wall: Wall, tmp_path: Path
) -> None:
    stage = Stage(tmp_path)
    stage.edit(*UNTIL)
    agent = stage.rounds()
    agent.start()
    assert stage.revision == 1
    agent.play()
    assert stage.revision == 1
    wall.boot_s += 60
    agent.play()
    assert stage.revision == 2
    committed = stage.enforcement.committed
    assert committed is not None
    assert committed.compiled.clock_ns == (BOOT_S + 60) * NS
    assert "app-in" in committed.compiled.numbers.rules
    wall.since_boot_s = 940
    agent.play()
    assert stage.revision == 3
    committed = stage.enforcement.committed
    assert committed is not None
    assert "app-in" not in committed.compiled.numbers.rules
    assert committed.compiled.ends == ()
