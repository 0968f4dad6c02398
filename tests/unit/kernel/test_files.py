# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from krait.common.errors import ExitCode, SystemRefused
from krait.kernel.files import read_at_most, require_writable, sweep, writing


def test_what_cannot_be_written_is_named_with_the_mend(tmp_path: Path) -> None:
    place = tmp_path / "none" / "wg0.lock"
    with pytest.raises(SystemRefused) as told, writing(place):
        place.touch()
    assert told.value.message == f"cannot write {place}: No such file or directory"
    assert "RuntimeDirectory" in told.value.hint
    assert told.value.exit_code is ExitCode.SYSTEM


def test_a_folder_that_can_be_made_can_be_written_and_is_not_made_yet(tmp_path: Path) -> None:
    require_writable(tmp_path / "run" / "krait")
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(SystemRefused, match="Not a directory"):
        require_writable(tmp_path / "run" / "krait")


def test_a_folder_on_a_file_system_that_nobody_writes_to_is_refused() -> None:
    with pytest.raises(SystemRefused, match="cannot write /proc/self/krait"):
        require_writable(Path("/proc/self/krait/wg0") / "..")


def test_more_than_the_most_is_read_as_one_more(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(9))
    assert [len(read_at_most(path, most)) for most in (10, 9, 8, 3)] == [9, 9, 9, 4]


def test_what_crashes_left_of_replacements_is_swept_away_and_nothing_else(tmp_path: Path) -> None:
    mine, others = tmp_path / "wg0.json", tmp_path / ".wg0.yaml.abcdefgh"
    for path in (mine, others, tmp_path / ".wg0.json.abcdefgh", tmp_path / ".wg0.json.json"):
        path.touch()
    sweep(mine)
    left = {each.name for each in tmp_path.iterdir()}
    assert left == {"wg0.json", ".wg0.yaml.abcdefgh", ".wg0.json.json"}
    sweep(tmp_path / "nothing" / "here")
