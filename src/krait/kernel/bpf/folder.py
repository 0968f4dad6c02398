# SPDX-License-Identifier: Apache-2.0
"""Folders for pins, which nobody but us can write to.

`mount -t bpf bpf /sys/fs/bpf` gives a root that everybody may write to (mode 1777, bpf_fill_super()
in kernel/bpf/inode.c). Who owns the folder of a pinned link can unlink it, and so take the filter
off; so whatever lies between that root and a pin is ours or root's, and nobody else's to change.
"""

import os
import stat
from pathlib import Path

from krait.common.errors import SystemRefused

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Unsafe(SystemRefused):
    """Somebody else could take pins away from `place`, or could have put them there."""

    def __init__(self, place: Path, why: str, mend: str) -> None:
        self.place = place
        super().__init__(f"{place} {why}: others could take the filter off there", hint=mend)


def make_private(folder: Path) -> None:
    """Make the folder, and those above it, for us alone; raises as `require_private` does."""
    require_private(folder)
    for place in (*reversed(folder.parents), folder):
        place.mkdir(mode=0o700, exist_ok=True)
    require_private(folder)  # somebody may have been faster


def require_private(folder: Path) -> None:
    """Raise Unsafe unless the folder, as far as it exists, is safe up to its file system's root.

    That is: each component below the root belongs to us or to root, is no symbolic link, and is not
    for others to write to; the root may be, where it is sticky, for nobody renames ours there.
    """
    above = (folder, *folder.parents)
    # Not Path.is_mount: where fs.protected_symlinks is on, it may not even look behind a link.
    root = next(place for place in above if os.path.ismount(place))
    for place in reversed(above[: above.index(root) + 1]):  # who owns one owns all below it
        try:
            found = place.lstat()
        except FileNotFoundError:
            return
        _require(place, found, sticky_is_enough=place == root)


def is_open_to_others(mount: Path) -> bool:
    """Whether others may make entries in it."""
    return bool(mount.stat().st_mode & _OTHERS_WRITE)


def _require(place: Path, found: os.stat_result, *, sticky_is_enough: bool) -> None:
    remove = f"Look at it (ls -la {place}), then remove it: rm -r {place}"
    if not stat.S_ISDIR(found.st_mode):
        raise Unsafe(place, "is no folder", remove)
    if found.st_uid not in (0, os.geteuid()):
        raise Unsafe(place, f"belongs to user {found.st_uid}", remove)
    if found.st_mode & _OTHERS_WRITE and not (sticky_is_enough and found.st_mode & stat.S_ISVTX):
        mode = stat.S_IMODE(found.st_mode)
        raise Unsafe(place, f"is for others to write to (mode {mode:o})", f"chmod 0700 {place}")
