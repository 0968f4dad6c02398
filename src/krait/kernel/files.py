# SPDX-License-Identifier: Apache-2.0
"""Files that Krait reads and writes: refusals in words, reads with a bound, whole replacements."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EACCES, EDQUOT, ENOSPC, ENOTDIR, EROFS
from pathlib import Path

from krait.common.errors import SystemRefused

_HINT = (
    "Run it as root, or let its systemd unit make the folders: RuntimeDirectory=krait, "
    "StateDirectory=krait, and ExecStartPre=+ for the one of the pins."
)
_HINTS = {
    ENOSPC: "Make room on that file system.",
    EDQUOT: "Make room in this user's quota there.",
    EROFS: "Mount that file system for writing; a disk that fails is often mounted for reading.",
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What writes to `path`: its OSError becomes SystemRefused, with the mend."""
    try:
        yield
    except OSError as error:
        hint = _HINTS.get(error.errno or 0, _HINT)
        raise SystemRefused(f"cannot write {path}: {error.strerror}", hint=hint) from error


def require_writable(folder: Path) -> None:
    """Raise SystemRefused unless this process may write to a folder, or make it. Makes nothing."""
    with writing(folder):
        place = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        if not place.is_dir():
            raise OSError(ENOTDIR, os.strerror(ENOTDIR))
        if not os.access(place, os.W_OK | os.X_OK, effective_ids=True):
            is_for_reading = os.statvfs(place).f_flag & os.ST_RDONLY
            number = EROFS if is_for_reading else EACCES
            raise OSError(number, os.strerror(number))


def read_at_most(path: Path, most_bytes: int) -> bytes:
    """The bytes of a file, cut off one beyond `most_bytes`, so that too many can be told.

    Raises OSError, and ValueError for a name that no file can have.
    """
    with path.open("rb") as file:
        return file.read(most_bytes + 1)


def replace_file(
    path: Path,
    content: bytes,
    *,
    mode: int,
    durable: bool,
    owner: tuple[int, int] | None = None,
) -> None:
    """Replace a file as a whole: a reader sees the old content or the new, also after a crash.

    `durable`: return once it is on the disk. `owner`: numbers of user and group; without it, this
    process's. Raises OSError, and then the old one is there.
    """
    fd, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            if owner is not None:
                os.fchown(fd, *owner)  # before the mode: it clears set-user-ID bits
            os.fchmod(fd, mode)
            file.write(content)
            file.flush()
            if durable:
                os.fsync(fd)
        Path(temporary).rename(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    if durable:
        sync_folder(path.parent)  # the rename too


def remove_file(path: Path) -> None:
    """Remove a file, and return once that is on the disk; no error if there is none.

    Raises OSError.
    """
    with suppress(FileNotFoundError):
        path.unlink()
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Return once what the names in a folder stand for is on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(path: Path) -> None:
    """Remove what crashes left of replacements of a file. For whoever alone replaces it.

    What cannot be removed stays: it is in nobody's way.
    """
    for each in path.parent.glob(f".{path.name}.????????"):  # as tempfile ends a name
        with suppress(OSError):
            each.unlink()
