# SPDX-License-Identifier: Apache-2.0
"""On a bpf file system that everybody may write to, against a user without privileges."""

import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from krait.kernel.bpf.folder import Unsafe, is_open_to_others, make_private, require_private
from krait.kernel.bpf.map import Map
from krait.kernel.bpf.object import BpfObject

NOBODY = 65534


@pytest.fixture
def mount(bpffs: Path) -> Path:
    """As `mount -t bpf` makes it."""
    bpffs.chmod(0o1777)
    return bpffs


def as_nobody(command: str, folder: Path) -> int:
    """How a shell's command ended, run in a folder by a user who owns nothing there."""
    return subprocess.run(
        ["sh", "-c", command], cwd=folder, user=NOBODY, group=NOBODY, extra_groups=[], check=False
    ).returncode


def test_in_a_folder_of_ours_nobody_else_unlinks_a_pin(loaded: BpfObject, mount: Path) -> None:
    folder = mount / "krait" / "wg0"
    make_private(folder)
    make_private(folder)
    loaded.maps["known"].pin(folder / "known")
    assert [each.stat().st_mode & 0o777 for each in (folder, folder.parent)] == [0o700, 0o700]
    assert as_nobody("rm -f krait/wg0/known", mount) != 0
    assert as_nobody("mv krait away", mount) != 0
    Map.open_pinned(folder / "known").close()


@pytest.mark.parametrize(
    ("theirs", "place", "why"),
    [
        ("umask 0; mkdir -p krait/wg0", "krait", f"belongs to user {NOBODY}"),
        ("mkdir krait", "krait", f"belongs to user {NOBODY}"),
        ("ln -s /tmp krait", "krait", "is no folder"),
    ],
    ids=["open", "shut", "a symbolic link"],
)
def test_a_folder_that_somebody_else_made_before_us_is_refused_and_nothing_made_in_it(
    mount: Path, theirs: str, place: str, why: str
) -> None:
    assert as_nobody(theirs, mount) == 0
    for refuse in (make_private, require_private):
        with pytest.raises(Unsafe, match=why) as told:
            refuse(mount / "krait" / "wg1")
        assert told.value.place == mount / place
        assert f"rm -r {mount / place}" in told.value.hint
    with suppress(PermissionError):  # where fs.protected_symlinks is on, not even we can follow
        assert not (mount / "krait" / "wg1").exists()


def test_a_folder_of_ours_that_others_may_write_to_is_refused_with_the_mode_to_give(
    mount: Path,
) -> None:
    make_private(mount / "krait" / "wg0")
    for mode in (0o777, 0o1777, 0o720):
        (mount / "krait").chmod(mode)
        with pytest.raises(Unsafe, match=f"mode {mode:o}") as told:
            require_private(mount / "krait" / "wg0")
        assert told.value.hint == f"chmod 0700 {mount / 'krait'}"
    (mount / "krait").chmod(0o755)
    require_private(mount / "krait" / "wg0")


def test_a_root_where_others_may_rename_what_is_ours_is_refused(mount: Path) -> None:
    require_private(mount / "krait")
    mount.chmod(0o777)
    with pytest.raises(Unsafe, match="mode 777"):
        require_private(mount / "krait")


def test_it_is_told_whether_others_may_make_something_there(mount: Path) -> None:
    assert is_open_to_others(mount)
    mount.chmod(0o700)
    assert not is_open_to_others(mount)


def test_a_component_that_is_no_folder_is_refused(loaded: BpfObject, mount: Path) -> None:
    loaded.maps["known"].pin(mount / "krait")
    with pytest.raises(Unsafe, match="krait is no folder"):
        make_private(mount / "krait" / "wg0")
