# SPDX-License-Identifier: Apache-2.0
"""Files that Krait reads and writes: refusals in words, reads with a bound, whole replacements."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from errno import EACCES, EDQUOT, EINVAL, EISDIR, ENOSPC, ENOTDIR, EROFS, ESTALE
from pathlib import Path
from secrets import token_hex

from krait.common.errors import SystemRefused

_HINT = (
    "Run it as root, or let its systemd unit make the folders: RuntimeDirectory=krait, "
    "StateDirectory=krait, and ExecStartPre=+ for the one of the pins."
)
_HINTS = {
    ENOSPC: "Make room on that file system.",
    EDQUOT: "Make room in this user's quota there.",
    EROFS: "Mount that file system for writing; a disk that fails is often mounted for reading.",
    ESTALE: "Run this again.",
}
_PERMISSIONS = stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO
_TOKEN_BYTES = 4  # of the name of what is not whole yet, in hexadecimal


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


@contextmanager
def located(path: Path | str, *, folder: int | None = None) -> Iterator[int]:
    """A descriptor (O_PATH) of what is at a path, to be judged by fstat before it is opened.

    To open a device may do something, and a pipe waits for its other end. In a `folder`, which is
    a descriptor too, a symbolic link is not followed. Raises OSError, and ValueError for a name
    that no file can have.
    """
    follow = 0 if folder is None else os.O_NOFOLLOW
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC | follow, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_located(descriptor: int, most_bytes: int) -> bytes:
    """As `read_at_most`, of what was located."""
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
    if not stat.S_ISREG(kind):
        raise OSError(EINVAL, "it is no regular file")
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY
    with os.fdopen(os.open(f"/proc/self/fd/{descriptor}", flags), "rb") as file:
        return file.read(most_bytes + 1)


def read_at_most(path: Path, most_bytes: int) -> bytes:
    """The bytes of a regular file, cut off one beyond `most_bytes`, so that too many can be told.

    Raises OSError, and ValueError for a name that no file can have.
    """
    with located(path) as descriptor:
        return read_located(descriptor, most_bytes)


class Original:
    """A file as it was read, and its place: what replaces it goes there or nowhere."""

    def __init__(self, folder: int, name: str, most_bytes: int) -> None:
        """`folder` is a descriptor. Raises OSError for anything but a regular file."""
        self._folder, self._name = folder, name
        with located(name, folder=folder) as descriptor:
            self._about = os.fstat(descriptor)
            self.content = read_located(descriptor, most_bytes)

    def replace(self, content: bytes) -> None:
        """Replace it as a whole, on the disk when this returns; its owner, group and mode stay.

        Raises OSError, and then nothing was written: ESTALE if what is there now is another file,
        or one that was changed since.
        """
        about = self._about
        _replace(
            self._folder,
            self._name,
            content,
            mode=about.st_mode & _PERMISSIONS,
            owner=(about.st_uid, about.st_gid),
            durable=True,
            check=self._require_unchanged,
        )

    def _require_unchanged(self) -> None:
        with located(self._name, folder=self._folder) as descriptor:
            if _stamp(os.fstat(descriptor)) != _stamp(self._about):
                raise OSError(ESTALE, "it was changed meanwhile")


@contextmanager
def original(path: Path, most_bytes: int) -> Iterator[Original]:
    """A file to be replaced by what is made of its content; behind symbolic links too.

    They are followed once, here: who may change them later, or a folder above, changes nothing.
    Raises OSError, and ValueError for a name that no file can have.
    """
    place = Path(os.path.realpath(path, strict=True))  # resolve() has no OSError for a loop
    with _opened(place.parent) as folder:
        yield Original(folder, place.name, most_bytes)


def replace_file(path: Path, content: bytes, *, mode: int, durable: bool) -> None:
    """Replace a file as a whole: a reader sees the old content or the new, also after a crash.

    `durable`: return once it is on the disk. Raises OSError, and then the old one is there.
    """
    with _opened(path.parent) as folder:
        _replace(folder, path.name, content, mode=mode, durable=durable)


def remove_file(path: Path) -> None:
    """Remove a file, and return once that is on the disk; no error if there is none.

    Raises OSError.
    """
    with suppress(FileNotFoundError):
        path.unlink()
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Return once what the names in a folder stand for is on the disk. Raises OSError."""
    with _opened(folder) as descriptor:
        os.fsync(descriptor)


def sweep(path: Path) -> None:
    """Remove what crashes left of replacements of a file. For whoever alone replaces it.

    What cannot be removed stays: it is in nobody's way.
    """
    for each in path.parent.glob(f".{path.name}.{'?' * 2 * _TOKEN_BYTES}"):
        with suppress(OSError):
            each.unlink()


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _replace(
    folder: int,
    name: str,
    content: bytes,
    *,
    mode: int,
    durable: bool,
    owner: tuple[int, int] | None = None,
    check: Callable[[], None] = lambda: None,
) -> None:
    """`owner`: user and group; without it, this process's. `check` may still refuse, at the end."""
    temporary = f".{name}.{token_hex(_TOKEN_BYTES)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o600, dir_fd=folder)
    try:
        with os.fdopen(fd, "wb") as file:
            if owner is not None:
                os.fchown(fd, *owner)
            os.fchmod(fd, mode)
            file.write(content)
            file.flush()
            if durable:
                os.fsync(fd)
        check()
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        raise
    if durable:
        os.fsync(folder)  # the rename too


def _stamp(about: os.stat_result) -> tuple[int, ...]:
    """What changes when a file does, or is another one."""
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns
