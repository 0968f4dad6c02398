# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from pathlib import Path

import pytest

from krait.agent.ledger import Ledger
from krait.agent.state import Record, read_records, record
from krait.common.errors import SystemRefused
from krait.policy.numbering import Numbers
from tests.unit.agent.world import DESIRED


def commit(revision: int) -> Record:
    return replace(record(revision, 1000.5, DESIRED, Numbers()), numbers=numbers(revision))


def numbers(revision: int) -> Numbers:
    return Numbers(rules=(f"rule-{revision}",))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wg0.json"


def test_the_record_of_what_is_in_force_stays_until_the_next_one_is(path: Path) -> None:
    ledger = Ledger(path)
    ledger.enter(commit(1), 0)
    ledger.enter(commit(2), 1)
    assert [each.revision for each in read_records(path)] == [2, 1]
    ledger.enter(commit(3), 1)  # the store of 2 never was
    assert [each.revision for each in read_records(path)] == [3, 1]


def test_the_next_agent_knows_numbers_and_the_revision_that_never_came_into_force(
    path: Path,
) -> None:
    before = Ledger(path)
    before.enter(commit(1), 0)
    before.enter(commit(2), 1)
    after = Ledger(path)
    after.read()
    assert after.last_revision == 2
    assert after.numbers_of(1) == numbers(1)
    assert after.numbers_of(7) == Numbers()


def test_what_a_disk_refuses_holds_nothing_up_and_is_written_later(path: Path) -> None:
    ledger = Ledger(path)
    path.mkdir()  # the rename onto it fails, as a write to a full disk does
    ledger.enter(commit(1), 0)
    with pytest.raises(SystemRefused):
        ledger.write()
    path.rmdir()
    ledger.write()
    assert read_records(path) == (commit(1),)


def test_what_is_written_is_not_written_again(path: Path) -> None:
    ledger = Ledger(path)
    ledger.enter(commit(1), 0)
    path.unlink()
    ledger.write()
    assert not path.exists()
