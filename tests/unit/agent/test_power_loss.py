# SPDX-License-Identifier: Apache-2.0
"""What a power cut may take: what reaches the disk, and in which order.

The file system is the real one; what the code asks of it is written down.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from krait.agent import key, source
from krait.agent.managed.orders import Orders, Standing, begin_trial
from krait.agent.managed.turn import Turn
from krait.agent.paths import Paths
from krait.agent.state import record, write_records
from krait.policy.numbering import Numbers
from tests.unit.agent.world import DESIRED
from tests.unit.standing import stand

NAMING = ("replace", "link", "unlink")


class Disk:
    """Knows which names and contents would be there after a power cut."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.unsynced: list[str] = []
        """Names that changed since the folder was last synced."""
        self.synced: set[tuple[int, int]] = set()
        """Inode and size of files, as they were synced."""
        self._fsync = os.fsync
        monkeypatch.setattr("os.fsync", self._sync)
        for name in NAMING:
            monkeypatch.setattr(os, name, partial(self._name, getattr(os, name)))

    def _sync(self, fd: int) -> None:
        self._fsync(fd)
        about = os.fstat(fd)
        if os.path.samestat(about, self.folder.stat()):
            self.unsynced.clear()
        else:
            self.synced.add((about.st_ino, about.st_size))

    def _name(self, call: Callable[..., None], *names: Path | str, **folders: int) -> None:
        known = {key: Path(f"/proc/self/fd/{fd}").readlink() for key, fd in folders.items()}
        ends = ("src_dir_fd", "dst_dir_fd") if len(names) > 1 else ("dir_fd",)
        paths = [known.get(end, Path()) / name for end, name in zip(ends, names, strict=True)]
        if len(paths) > 1:  # what gets a name must be whole before it
            about = paths[0].stat()
            assert (about.st_ino, about.st_size) in self.synced, f"{paths[1]} could be empty"
        call(*names, **folders)
        if paths[-1].parent == self.folder:
            self.unsynced.append(str(paths[-1]))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "state").mkdir(mode=0o700)
    return Paths(state=tmp_path / "state", run=tmp_path / "run", pins=tmp_path / "bpf")


@pytest.fixture
def disk(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(paths.state, monkeypatch)


ORDERS = Orders("/etc/krait/wg0.yaml")
TRIED = Standing(Orders("/other"), begin_trial(3600, ORDERS))
WRITERS: dict[str, Callable[[Paths], object]] = {
    "records": lambda paths: write_records(
        paths.state_of("wg0"), (record(1, 1.0, DESIRED, Numbers()),)
    ),
    "document in force": lambda paths: source.keep(paths.kept_of("wg0"), DESIRED.source),
    "key": lambda paths: key.make(paths.key_of("wg0")),
    "orders": lambda paths: stand(paths, Standing(ORDERS)),
    "orders on trial": lambda paths: stand(paths, TRIED),
}


@pytest.mark.parametrize("what", WRITERS)
def test_what_is_written_is_on_the_disk_whole_when_it_is_done(
    paths: Paths, disk: Disk, what: str
) -> None:
    WRITERS[what](paths)
    assert list(paths.state.iterdir())
    assert not disk.unsynced


def test_a_trial_that_was_confirmed_does_not_come_back(paths: Paths, disk: Disk) -> None:
    stand(paths, TRIED)
    with Turn.take("wg0", paths) as turn:
        assert turn.confirm() == TRIED.trial
        assert turn.confirm() is None
    assert not disk.unsynced


def test_orders_that_were_taken_back_do_not_come_back(paths: Paths, disk: Disk) -> None:
    stand(paths, TRIED)
    stand(paths, Standing())
    assert not list(paths.state.iterdir())
    assert not disk.unsynced
