# SPDX-License-Identifier: Apache-2.0
"""Which network namespace a folder of pins is for: an empty folder in it, `netns-<cookie>`, says.

It lies with the pins, because it has to live exactly as long as they do: whoever sees the pins sees
it, and the next boot, in which cookies mean others, has neither. No full disk loses it.
"""

import re
from contextlib import suppress
from pathlib import Path

from krait.kernel import netns

_MARK = re.compile(r"netns-(\d+)")


def owners(folder: Path) -> frozenset[int]:
    """The cookies that claim it; none where nobody did, or there is no such folder."""
    names = (_MARK.fullmatch(each.name) for each in _entries(folder))
    return frozenset(int(name[1]) for name in names if name)


def is_foreign(folder: Path) -> bool:
    """Whether it is claimed, and not for this namespace."""
    claimed = owners(folder)
    return bool(claimed) and netns.cookie() not in claimed


def claim(folder: Path) -> None:
    """Say that it is for this namespace; it must be there. Raises OSError.

    Says nothing on a kernel without cookies.
    """
    if (cookie := netns.cookie()) is not None:
        (folder / f"netns-{cookie}").mkdir(mode=0o700, exist_ok=True)


def release(folder: Path) -> None:
    """Take every claim back; that there is none, or no folder, is no error."""
    for each in _entries(folder):
        if _MARK.fullmatch(each.name):
            with suppress(OSError):  # gone, or with something in it: then it is no claim of ours
                each.rmdir()


def _entries(folder: Path) -> tuple[Path, ...]:
    return tuple(folder.iterdir()) if folder.is_dir() else ()
