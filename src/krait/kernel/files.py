# SPDX-License-Identifier: Apache-2.0
"""Folders that Krait writes to, and files that it reads: refusals in words, reads with a bound."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, ENOTDIR
from pathlib import Path

from krait.common.errors import SystemRefused

_HINT = (
    "Run it as root, or let its systemd unit make the folders: RuntimeDirectory=krait, "
    "StateDirectory=krait, and ExecStartPre=+ for the one of the pins."
)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What writes to `path`: its OSError becomes SystemRefused, with the mend."""
    try:
        yield
    except OSError as error:
        raise SystemRefused(f"cannot write {path}: {error.strerror}", hint=_HINT) from error


def require_writable(folder: Path) -> None:
    """Raise SystemRefused unless this process may write to a folder, or make it. Makes nothing."""
    with writing(folder):
        place = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        if not place.is_dir():
            raise OSError(ENOTDIR, os.strerror(ENOTDIR))
        if not os.access(place, os.W_OK | os.X_OK, effective_ids=True):
            raise OSError(EACCES, os.strerror(EACCES))


def read_at_most(path: Path, most_bytes: int) -> bytes:
    """The bytes of a file, cut off one beyond `most_bytes`, so that too many can be told.

    Raises OSError, and ValueError for a name that no file can have.
    """
    with path.open("rb") as file:
        return file.read(most_bytes + 1)
