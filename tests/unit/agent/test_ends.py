# SPDX-License-Identifier: Apache-2.0
"""The end of rules by a clock that passes and may be set, and what the agent makes of it."""

from pathlib import Path

import pytest

from krait.agent import ends
from krait.agent.backoff import LONGEST_S
from krait.agent.desired import NO_CLOCK, Source
from krait.agent.ends import Ends
from krait.agent.rounds import Rounds
from krait.policy.document import load
from tests.unit.agent.clock import Clock
from tests.unit.agent.ports import Stage
from tests.unit.policy.bench import AUDIT_RULE, DOCUMENT

NS = 10**9
END_S = 1_798_740_000
UNTIL = ("{name: app-in, from: app", "{name: app-in, until: '2026-12-31T18:00:00Z', from: app")
BOOT_S = END_S - 1000


class Wall:
    """The two clocks that are read."""

    CLOCK_BOOTTIME = 7

    def __init__(self) -> None:
        self.boot_s, self.since_boot_s = float(BOOT_S), 10.0

    def time_ns(self) -> int:
        return round((self.boot_s + self.since_boot_s) * NS)

    def clock_gettime_ns(self, clock: int) -> int:
        assert clock == self.CLOCK_BOOTTIME
        return round(self.since_boot_s * NS)


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    found = Wall()
    monkeypatch.setattr(ends, "time", found)
    return found


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


def held_up(stage: Stage) -> Rounds:
    """An agent whose kernel does not take what follows the policy in force: no tables for it."""
    stage.edit(*UNTIL)
    stage.edit(f"    {AUDIT_RULE}\n", "")
    agent = stage.rounds()
    agent.start()
    stage.kernel.refuses = {"load"}
    ports = ", ".join(f"tcp/{2 * port}" for port in range(1, 300))
    stage.edit("[tcp/80, udp/53, icmp]", f"[{ports}]")
    agent.read_again()
    agent.play()
    assert (stage.revision, stage.faults) == (1, ["load: refused"])
    return agent


def test_the_clock_of_what_is_in_force_is_kept_while_the_kernel_refuses_its_successor(
    wall: Wall, tmp_path: Path
) -> None:
    stage = Stage(tmp_path)
    agent = held_up(stage)
    agent.play()
    assert stage.revision == 1
    wall.boot_s += 60
    agent.play()  # the successor has the new clock, and is tried at once
    agent.play()
    committed = stage.enforcement.committed
    assert committed is not None
    assert (stage.revision, committed.compiled.clock_ns) == (2, (BOOT_S + 60) * NS)
    assert "app-in" in committed.compiled.numbers.rules
    wall.since_boot_s = 940
    agent.play()
    agent.play()
    committed = stage.enforcement.committed
    assert committed is not None
    assert (stage.revision, committed.compiled.ends) == (3, ())
    assert stage.faults == ["load: refused"]
    agent.play()
    assert stage.revision == 3


def test_a_new_clock_that_is_refused_too_is_tried_again_ever_more_seldom(
    wall: Wall, clock: Clock, tmp_path: Path
) -> None:
    stage = Stage(tmp_path)
    agent = held_up(stage)
    wall.boot_s += 60
    stage.kernel.refuses = {"load", "write"}
    tried: list[str] = []
    check = stage.kernel.check

    def seen(what: str) -> None:
        if what in ("load", "write"):
            tried.append(what)
        check(what)

    stage.kernel.check = seen  # type: ignore[method-assign]
    for _ in range(40):
        agent.play()
        clock.now_s += 0.1
    assert (tried.count("load"), tried.count("write")) == (3, 3)
    stage.kernel.refuses = {"load"}
    clock.now_s += LONGEST_S
    agent.play()
    agent.play()
    assert stage.revision == 2


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
