# SPDX-License-Identifier: Apache-2.0
"""Who else may change a document: whoever may decides what the mesh allows.

A file that anybody may change is no policy, as sudo and ssh see their files too. One of a user is a
decision that operators make (`sudo krait up --config ./krait.yaml`), and is said aloud.
"""

import errno
import os
import shlex
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from krait.common.errors import UsageError

_ROOT = 0
_MOST_LINKS = 40
"""As Linux follows on one way (MAXSYMLINKS)."""


class Step(NamedTuple):
    """Something on the way to a file: a folder, a symbolic link, or the file itself."""

    path: Path
    mode: int
    user: int
    group: int

    @property
    def writers(self) -> int:
        """The bits of its mode by which others than its owner may change what is found there.

        Of a link they mean nothing, and in a sticky folder each name is its owner's.
        """
        if stat.S_ISLNK(self.mode) or (stat.S_ISDIR(self.mode) and self.mode & stat.S_ISVTX):
            return 0
        return self.mode & (stat.S_IWGRP | stat.S_IWOTH)


Steps = Sequence[Step]


def steps(path: Path, file: os.stat_result) -> Steps:
    """Each folder in which a name is looked up for this path, each link, and the file, which was
    opened and is `file`.

    Raises OSError if the way is another one by now.
    """
    way = [_step(each, each.lstat()) for each in dict.fromkeys(_way(path))]
    return *way, _step(path, file)


def require(path: Path, steps: Steps) -> None:
    """Raise UsageError if anybody may change the file, or put another in its place."""
    for each in steps:
        if each.writers & stat.S_IWOTH:
            fate = "" if each.path == path else f", and so put anything at {path}"
            raise UsageError(
                f"anybody may write to {each.path}{fate}",
                hint=f"see what is there, then: chmod o-w {shlex.quote(str(each.path))}",
            )


def warnings(path: Path, steps: Steps, own: tuple[int, int]) -> tuple[str, ...]:
    """What to say of others who may than root and `own` user and group; nothing if none may."""
    users = {each.user for each in steps} - {_ROOT, own[0]}
    groups = {each.group for each in steps if each.writers & stat.S_IWGRP} - {_ROOT, own[1]}
    others = [f"user {each}" for each in sorted(users)]
    others += [f"group {each}" for each in sorted(groups)]
    if not others:
        return ()
    return (f"{path} may be changed by {' and '.join(others)}, and with it what is allowed here",)


def _step(path: Path, about: os.stat_result) -> Step:
    return Step(path, about.st_mode, about.st_uid, about.st_gid)


def _way(path: Path) -> Iterator[Path]:
    """The folders and links that lead to a file.

    It was reached, but whoever may write on the way may have made a loop of it since.
    """
    here, names, links = Path("/"), _backwards(path.absolute()), 0
    yield here
    while names:
        name = names.pop()
        place = here.parent if name == ".." else here / name
        if place.is_symlink():
            yield place
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            target = place.readlink()
            names += _backwards(target)
            here = Path("/") if target.is_absolute() else here
        elif names:
            yield place
            here = place


def _backwards(path: Path) -> list[str]:
    return [name for name in reversed(path.parts) if name != "/"]
