# SPDX-License-Identifier: Apache-2.0
import json
from dataclasses import replace
from pathlib import Path

import pytest

from krait.agent.state import (
    Fault,
    Live,
    read_live,
    read_records,
    record,
    write_live,
    write_records,
)
from krait.policy.numbering import Numbers
from tests.unit.agent.world import DESIRED

RECORD = record(7, 1000.5, DESIRED, Numbers())
LIVE = Live(
    pid=5,
    since_s=1000.5,
    kind="tcx",
    enforcing=True,
    revision=7,
    faults=(Fault("no", "mend it", 1001.5),),
    warnings=("web1: odd",),
    withheld=("10.8.0.2/32",),
)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "state" / "wg0.json"
    write_records(path, (RECORD,))
    assert read_records(path) == (RECORD,)
    assert RECORD.numbers == DESIRED.compiled.numbers
    assert {who.name for who in RECORD.peers.values()} == {"web1", "app1"}


def test_free_numbers_stay_free(tmp_path: Path) -> None:
    path = tmp_path / "wg0.json"
    gaps = Numbers((None, frozenset({"web"})), (None, "rule"), (None, bytes(32)))
    write_records(path, (replace(RECORD, numbers=gaps),))
    assert read_records(path)[0].numbers == gaps


def test_an_empty_slot_keeps_the_numbers_and_names_no_document() -> None:
    empty = record(8, 1001.0, None, RECORD.numbers)
    assert (empty.numbers, empty.source, empty.sha256, empty.peers) == (RECORD.numbers, "", "", {})


def test_only_the_last_two_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "wg0.json"
    write_records(path, tuple(replace(RECORD, revision=number) for number in (9, 8, 7)))
    assert [each.revision for each in read_records(path)] == [9, 8]


def test_the_file_is_for_its_owner_alone_and_leaves_no_other_behind(tmp_path: Path) -> None:
    path = tmp_path / "state" / "wg0.json"
    for _ in range(2):
        write_records(path, (RECORD,))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 9}', '{"version": 1}', "null"])
def test_what_cannot_be_understood_is_as_if_it_were_not_there(tmp_path: Path, content: str) -> None:
    path = tmp_path / "wg0.json"
    path.write_text(content)
    assert read_records(path) == ()
    assert read_live(path) is None
    assert read_records(tmp_path / "none") == ()
    assert read_live(tmp_path / "none") is None


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "wg0.json"
    write_live(path, LIVE)
    with pytest.raises(TypeError):
        write_live(path, replace(LIVE, kind=object()))  # type: ignore[arg-type]
    assert read_live(path) == LIVE
    assert list(tmp_path.iterdir()) == [path]


def test_what_lives_is_readable_by_anybody(tmp_path: Path) -> None:
    path = tmp_path / "run" / "wg0.json"
    write_live(path, LIVE)
    assert read_live(path) == LIVE
    assert path.stat().st_mode & 0o777 == 0o644
    assert json.loads(path.read_text())["withheld"] == ["10.8.0.2/32"]
