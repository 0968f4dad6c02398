# SPDX-License-Identifier: Apache-2.0
"""A document beside the one in force: when it is rehearsed, and that it holds nothing up."""

from pathlib import Path

import pytest

from krait.agent.rounds import Rounds
from krait.agent.source import LOOK_S
from tests.unit.agent.clock import Clock
from tests.unit.agent.ports import Stage
from tests.unit.policy.bench import AUDIT_RULE, DOCUMENT

PLAIN = DOCUMENT.replace(f"    {AUDIT_RULE}\n", "")
TRIED = PLAIN.replace("[tcp/80, ", "[tcp/443, ")


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
    """Two rounds: one sees a change, one that it kept still."""
    agent.play()
    clock.now_s += LOOK_S
    agent.play()


def test_what_lies_there_at_the_start_is_rehearsed_at_once(stage: Stage) -> None:
    stage.shadow.write_text(TRIED)
    stage.rounds().start()
    assert shadow_of(stage) == str(stage.shadow)
    assert (stage.revision, stage.faults) == (1, [])


def test_it_may_come_change_and_go_while_the_agent_lives(stage: Stage, clock: Clock) -> None:
    agent = stage.rounds()
    agent.start()
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
    agent = stage.rounds()
    agent.start()
    for part in (TRIED[:300], TRIED[:400], TRIED):
        stage.shadow.write_text(part)
        clock.now_s += LOOK_S / 2
        agent.play()
    assert (shadow_of(stage), stage.faults) == (None, [])


def test_a_bad_one_is_told_and_the_document_counts_all_the_same(stage: Stage, clock: Clock) -> None:
    stage.shadow.write_text(TRIED.replace("from: app", "from: nobody"))
    agent = stage.rounds()
    agent.start()
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
    ports = ", ".join(f"tcp/{2 * port}" for port in range(1, 1100))
    stage.shadow.write_text(PLAIN.replace("[tcp/80, udp/53, icmp]", f"[{ports}]"))
    stage.rounds().start()
    assert (shadow_of(stage), stage.revision) == (None, 1)
    assert "port intervals" in stage.faults[0]


def test_another_documents_shadow_takes_the_place_of_audit_rules(stage: Stage) -> None:
    stage.document.write_text(DOCUMENT)
    stage.shadow.write_text(TRIED)
    stage.rounds().start()
    assert shadow_of(stage) == str(stage.shadow)
    committed = stage.enforcement.committed
    assert committed is not None
    assert "trial" not in committed.compiled.numbers.shadow_rules
