# SPDX-License-Identifier: Apache-2.0
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from krait.agent import state
from krait.agent.state import (
    Fault,
    Live,
    read_live,
    read_records,
    record,
    write_live,
    write_records,
)
from krait.policy.guard import Guard
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


def test_whether_a_guard_is_to_be_on_the_other_interfaces_is_written_down(tmp_path: Path) -> None:
    path = tmp_path / "wg0.json"
    guard = Guard({}, (), ())
    write_records(path, (record(8, 1001.0, replace(DESIRED, guard=guard), Numbers()), RECORD))
    assert [each.guard for each in read_records(path)] == [True, False]


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


def damaged(**changes: object) -> str:
    """A file that would be right but for these entries of its one commit."""
    whole = {"revision": 3, "committed_s": 1.0, "source": "x", "sha256": "y"}
    whole |= {"identities": [], "rules": [], "peers": [], "names": {}}
    return json.dumps({"version": 1, "commits": [whole | changes]})


def test_a_whole_file_of_other_hands_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "wg0.json"
    path.write_text(damaged())
    assert [(each.revision, each.guard) for each in read_records(path)] == [(3, False)]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"version": 9}',
        '{"version": 1}',
        '{"version": 1, "commits": [5]}',
        "[" * 100_000,
        "\xff",
        damaged(names=[]),
        damaged(names={"AAAA": {"name": "short key", "tags": []}}),
        damaged(revision=float("inf")),
        damaged(revision=2**32 - 1),
        damaged(revision=-1),
        damaged(revision=True),
        damaged(committed_s=float("inf")),
        damaged(committed_s=1e300),
        damaged(committed_s=10**400),
        damaged(source=None),
        damaged(identities=[[["nested"]]]),
        damaged(rules=[[1], {}]),
        damaged(peers=[5]),
        damaged(guard="yes"),
    ],
)
def test_what_cannot_be_understood_is_as_if_it_were_not_there_and_told(
    tmp_path: Path, content: str
) -> None:
    path, told = tmp_path / "wg0.json", list[str]()
    path.write_text(content, encoding="latin-1")
    assert read_records(path, told.append) == ()
    assert read_live(path, told.append) is None
    assert len(told) == 2
    assert all(text.startswith(f"cannot use {path}") for text in told)


@pytest.mark.parametrize(
    "change",
    [
        {"pid": "5"},
        {"since_s": "b"},
        {"enforcing": 1},
        {"warnings": 5},
        {"warnings": "abc"},
        {"withheld": [5]},
        {"faults": [{"message": 1, "hint": "", "since_s": 1.0}]},
        {"faults": [{"message": "no", "hint": "", "since_s": "q"}]},
        {"revision": None},
    ],
)
def test_what_an_agent_said_of_itself_counts_only_as_a_whole(
    tmp_path: Path, change: dict[str, object]
) -> None:
    path = tmp_path / "wg0.json"
    write_live(path, LIVE)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert read_live(path) is None


def test_a_file_that_is_not_there_is_nothing_to_tell(tmp_path: Path) -> None:
    told: list[str] = []
    assert read_records(tmp_path / "none", told.append) == ()
    assert read_live(tmp_path / "none", told.append) is None
    assert told == []


def test_what_is_no_regular_file_or_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    write_records(tmp_path / "wg0.json", (RECORD,))
    monkeypatch.setattr(state, "MAX_BYTES", 100)
    told: list[str] = []
    for name in ("pipe", "folder", "wg0.json"):
        assert read_records(tmp_path / name, told.append) == ()
    assert ["regular" in told[0], "directory" in told[1], "larger" in told[2]] == [True] * 3


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "wg0.json"
    write_live(path, LIVE)
    with pytest.raises(TypeError):
        write_live(path, replace(LIVE, kind=object()))  # type: ignore[arg-type]
    assert read_live(path) == LIVE
    assert list(tmp_path.iterdir()) == [path]


def test_what_lives_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "run" / "wg0.json"
    write_live(path, LIVE)
    assert read_live(path) == LIVE
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["withheld"] == ["10.8.0.2/32"]
