# SPDX-License-Identifier: Apache-2.0
"""The single file runs by itself, and never runs what somebody else could have put in its way."""

import os
import subprocess
from pathlib import Path

import pytest

from release import bootstrap
from tests.released import ROOT, Released

EXAMPLE = ROOT / "examples" / "small.yaml"


@pytest.fixture
def archive(released: Released) -> str:
    return str(released.single_file)


def inside(tree: Path) -> Path:
    return tree / bootstrap.TREE / "krait" / "cli" / "main.py"


def test_it_needs_nothing_but_a_python(archive: str, tmp_path: Path) -> None:
    (tmp_path / "yaml.py").write_text("raise SystemExit('not this one')")
    ran = subprocess.run(
        [archive, "check", EXAMPLE],
        env={"HOME": str(tmp_path), "PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("ok:")


def test_it_unpacks_once(archive: str, tmp_path: Path) -> None:
    kept = tmp_path / "cache" / "krait"
    first = bootstrap.unpacked(archive, kept)
    assert inside(first).is_file()
    before = first.stat().st_ino
    assert bootstrap.unpacked(archive, kept) == first
    assert first.stat().st_ino == before
    assert list(kept.iterdir()) == [first]  # nothing half made is left
    assert kept.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_folder_that_others_can_write_to_is_not_used(
    archive: str, tmp_path: Path, mode: int
) -> None:
    kept = tmp_path / "krait"
    planted = inside(bootstrap.unpacked(archive, kept))
    kept.chmod(mode)
    found = inside(bootstrap.unpacked(archive, kept))
    assert found.is_file()
    assert not found.is_relative_to(kept)
    assert planted.is_file()


def test_a_link_to_a_folder_of_somebody_else_is_not_followed(archive: str, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "krait").symlink_to(tmp_path / "theirs")
    assert inside(bootstrap.unpacked(archive, tmp_path / "krait")).is_file()
    assert not list((tmp_path / "theirs").iterdir())


def test_where_nothing_can_be_kept_it_runs_from_a_folder_of_its_own(
    archive: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    assert inside(bootstrap.unpacked(archive, tmp_path / "file" / "krait")).is_file()


def test_for_root_the_home_of_the_caller_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "/home/somebody")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert bootstrap.cache() == Path("/var/cache/krait")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert bootstrap.cache() == Path("/home/somebody/krait")
