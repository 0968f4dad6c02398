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

from krait.agent import acl
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
    by_acl: acl.Writers | None = None

    @property
    def is_anybodys(self) -> bool:
        """Whether everybody may change what is found there."""
        return self._is_shared and bool(self.mode & stat.S_IWOTH)

    @property
    def users(self) -> frozenset[int]:
        """Those who may change it: its owner, and whom its ACL names."""
        named = self.by_acl.users if self._is_shared and self.by_acl else ()
        return frozenset((self.user, *named))

    @property
    def groups(self) -> frozenset[int]:
        """Those whose members may: its own, and whom its ACL names."""
        if self._is_shared and self.by_acl is not None:
            return self.by_acl.groups
        is_own = self._is_shared and self.mode & stat.S_IWGRP
        return frozenset((self.group,) if is_own else ())

    @property
    def _is_shared(self) -> bool:
        """Whether leave to write means anything: not of a link, and in a sticky folder each name
        is its owner's.
        """
        is_sticky = stat.S_ISDIR(self.mode) and self.mode & stat.S_ISVTX
        return not (stat.S_ISLNK(self.mode) or is_sticky)


Steps = Sequence[Step]


def steps(path: Path, file: int) -> Steps:
    """Each folder in which a name is looked up for this path, each link, and the file, of which
    `file` is a descriptor.

    Raises OSError if the way is another one by now.
    """
    way = [_step(each, each.lstat(), each) for each in dict.fromkeys(_way(path))]
    return *way, _step(path, os.fstat(file), f"/proc/self/fd/{file}")


def require(path: Path, steps: Steps) -> None:
    """Raise UsageError if anybody may change the file, or put another in its place."""
    for each in steps:
        if each.is_anybodys:
            fate = "" if each.path == path else f", and so put anything at {path}"
            raise UsageError(
                f"anybody may write to {each.path}{fate}",
                hint=f"see what is there, then: chmod o-w {shlex.quote(str(each.path))}",
            )


def warnings(path: Path, steps: Steps, own: tuple[int, int]) -> tuple[str, ...]:
    """What to say of others who may than root and `own` user and group; nothing if none may."""
    users = {who for each in steps for who in each.users} - {_ROOT, own[0]}
    groups = {who for each in steps for who in each.groups} - {_ROOT, own[1]}
    others = [f"user {each}" for each in sorted(users)]
    others += [f"group {each}" for each in sorted(groups)]
    if not others:
        return ()
    return (f"{path} may be changed by {' and '.join(others)}, and with it what is allowed here",)


def _step(path: Path, about: os.stat_result, asked: Path | str) -> Step:
    """`asked` is where its ACL is read."""
    by_acl = acl.writers(asked, about.st_gid)
    return Step(path, about.st_mode, about.st_uid, about.st_gid, by_acl)


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
