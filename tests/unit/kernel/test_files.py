# SPDX-License-Identifier: Apache-2.0
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from krait.common.errors import ExitCode, SystemRefused
from krait.kernel.files import (
    original,
    read_at_most,
    require_writable,
    sweep,
    writing,
)


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


def test_a_folder_is_told_as_one(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_at_most(tmp_path, 9)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        read_at_most(tmp_path / "pipe", 9)


def test_what_is_no_file_is_not_even_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """To open a device may do something: /dev/ptmx makes a terminal."""
    asked: list[int] = []
    really = os.open

    def opened(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        asked.append(flags & os.O_PATH)
        return really(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", opened)
    with pytest.raises(OSError, match="no regular file"):
        read_at_most(Path("/dev/ptmx"), 9)
    assert asked == [os.O_PATH]


def test_an_original_keeps_its_mode_and_its_links(tmp_path: Path) -> None:
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link.symlink_to(path.name)
    with original(link, 9) as found:
        assert found.content == b"old"
        found.replace(b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert set(tmp_path.iterdir()) == {path, link}


Swap = Callable[[Path, Path], None]


def _another_link(path: Path, secret: Path) -> None:
    path.unlink()
    path.symlink_to(secret)


def _another_file(path: Path, secret: Path) -> None:
    path.unlink()
    path.hardlink_to(secret)


def _another_content(path: Path, _: Path) -> None:
    path.write_bytes(b"newer")


@pytest.mark.parametrize("swap", [_another_link, _another_file, _another_content])
def test_what_was_swapped_after_it_was_read_is_not_replaced(tmp_path: Path, swap: Swap) -> None:
    path, secret = tmp_path / "mine" / "file", tmp_path / "secret"
    path.parent.mkdir()
    path.write_bytes(b"old")
    secret.write_bytes(b"secret")
    with original(path, 9) as found:
        swap(path, secret)
        with pytest.raises(SystemRefused, match="changed meanwhile"), writing(path):
            found.replace(b"new")
    assert secret.read_bytes() == b"secret"
    assert path.read_bytes() != b"new"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_above_that_was_swapped_leads_nowhere_else(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "mine" / "file", tmp_path / "elsewhere"
    for folder in (path.parent, elsewhere):
        folder.mkdir()
        (folder / "file").write_bytes(b"old")
    with original(path, 9) as found:
        path.parent.rename(tmp_path / "aside")
        path.parent.symlink_to(elsewhere)
        found.replace(b"new")
    assert (elsewhere / "file").read_bytes() == b"old"
    assert (tmp_path / "aside" / "file").read_bytes() == b"new"


def test_a_link_that_takes_its_place_at_the_last_moment_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, secret = tmp_path / "mine" / "file", tmp_path / "secret"
    path.parent.mkdir()
    path.write_bytes(b"old")
    secret.write_bytes(b"secret")
    rename = os.replace

    def late(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        _another_link(path, secret)
        rename(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "replace", late)
    with original(path, 9) as found:
        found.replace(b"new")
    assert secret.read_bytes() == b"secret"
    assert not path.is_symlink()
    assert path.read_bytes() == b"new"


def test_what_crashes_left_of_replacements_is_swept_away_and_nothing_else(tmp_path: Path) -> None:
    mine, others = tmp_path / "wg0.json", tmp_path / ".wg0.yaml.abcdefgh"
    for path in (mine, others, tmp_path / ".wg0.json.abcdefgh", tmp_path / ".wg0.json.json"):
        path.touch()
    sweep(mine)
    left = {each.name for each in tmp_path.iterdir()}
    assert left == {"wg0.json", ".wg0.yaml.abcdefgh", ".wg0.json.json"}
    sweep(tmp_path / "nothing" / "here")
