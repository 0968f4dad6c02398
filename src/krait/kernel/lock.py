# SPDX-License-Identifier: Apache-2.0
"""One process at a time: an advisory lock on a file, which the kernel lets go of with its holder.

The file holds the holder's process id, for the one that is refused. It is for its owner alone: who
may open it, if only to read, may lock it.
"""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from krait.common.errors import SystemRefused
from krait.kernel.files import writing

_TRIES, _PAUSE_S = 5, 0.02  # who only asks for the holder has the lock for microseconds


class Held(SystemRefused):
    """Another process holds the lock; `pid` is its process id, 0 or None if that is not known.

    The hint is for an agent, which lives until it is stopped, unless another is given.
    """

    def __init__(self, what: str, pid: int | None, *, hint: str = "") -> None:
        self.pid = pid
        stop = f"Stop it first: kill {pid}" if pid else "Stop it first."
        super().__init__(f"{what} (pid {pid or 'unknown'})", hint=hint or stop)


class Lock:
    """Holds the lock until close(), or until the process ends in whatever way."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def take(cls, path: Path, what: str, *, hint: str = "") -> Self:
        """Take the lock at once or raise Held, whose message begins with `what`.

        `hint` is for a holder that ends by itself, and must not be killed: such as a command.
        Raises SystemRefused where this process may not write the file.
        """
        for _ in range(_TRIES):
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                os.fchmod(fd, 0o600)  # one of an older version was for everybody to read
            with suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_still(fd, path):  # else the last holder removed it, as `detach` does
                    break
            os.close(fd)
            time.sleep(_PAUSE_S)
        else:
            raise Held(what, holder(path), hint=hint)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return cls(fd)

    @property
    def is_held(self) -> bool:
        """Not after close()."""
        return self._fd >= 0

    def close(self) -> None:
        """Let the next one have it; the file stays. May be repeated."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def holder(path: Path) -> int | None:
    """The process that holds the lock now, 0 if that is not known; None if nobody does.

    The file's word counts only if that process has the lock indeed: numbers are used again.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(fd, 32, 0).strip()
        pid = int(text) if text.isdigit() else 0
        return pid if _has_locked(pid, fd) else 0
    finally:
        os.close(fd)
    return None


def _has_locked(pid: int, fd: int) -> bool:
    """Whether one of the process's descriptors of this file has the lock (proc_pid_fdinfo(5))."""
    process = Path(f"/proc/{pid}")
    with suppress(OSError):  # it ended, or is not ours to look at
        for each in (process / "fdinfo").iterdir():
            with suppress(OSError):  # closed meanwhile
                its = (process / "fd" / each.name).stat()
                if os.path.samestat(its, os.fstat(fd)) and "FLOCK" in each.read_text():
                    return True
    return False


def _is_still(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False
