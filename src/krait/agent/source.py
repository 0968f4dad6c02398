# SPDX-License-Identifier: Apache-2.0
"""The document on disk: where it is, what it says, and when to look again."""

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable
from contextlib import closing, suppress
from dataclasses import replace
from errno import EACCES, ELOOP, ENOENT, ENOTDIR
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

from asyncinotify import Event, Inotify, Mask, Watch

from krait.agent import trust
from krait.agent.desired import Source
from krait.common.errors import SystemRefused, UsageError
from krait.kernel.files import located, read_located, replace_file, writing
from krait.policy import expectations
from krait.policy.document import load
from krait.policy.reread import reread
from krait.policy.yaml_source import MAX_BYTES

LOOK_S = 1.0

_Stamp: TypeAlias = tuple[int, ...] | None

_MASK = Mask.CLOSE_WRITE | Mask.MOVED_TO | Mask.DELETE_SELF | Mask.MOVE_SELF | Mask.ONLYDIR
_FOLDER_GONE = Mask.DELETE_SELF | Mask.MOVE_SELF | Mask.IGNORED | Mask.UNMOUNT
_MASK_OF_FILE = Mask.CLOSE_WRITE | Mask.MASK_ADD
"""Added, for a link may lead to the folder itself, which is watched for more."""
_NO_FILE = (ENOENT, ENOTDIR, ELOOP, EACCES)


def find(
    interface: str, places: Iterable[Path], kept: Path | None = None, *, if_missing: str = ""
) -> Path:
    """The first of `places` that there is.

    Where none is, but one was `kept` that was in force, the first: the agent will miss it, say so,
    and go on with what was kept. Raises UsageError, with how to begin, if there is nothing at all:
    from the interface, or as `if_missing` says.
    """
    places = tuple(places)
    for path in places:
        if path.exists():
            return path
    if kept is not None and kept.exists():
        return places[0]
    raise UsageError(
        f"no document for {interface}: looked for {', '.join(map(str, places))}",
        hint=if_missing
        or f"begin with one that changes nothing: {_how_to_begin(interface, places[0])}",
    )


def read(
    path: Path,
    interface: str | None,
    known: Source | None = None,
    *,
    if_missing: str = "",
    with_tests: bool = True,
) -> Source:
    """Read and check a document, for an interface if one is named, its own tests included unless
    it is without them.

    One with the same bytes as `known` is not worked through again; and of one that
    differs a little, only that is. `if_missing` is what to do if it cannot be read; empty: begin
    with a first one, which nobody may be told while a policy is in force, for it allows everything.
    Raises UsageError: DocumentError with every problem, or what else makes it unusable, such as
    that anybody may write to it.
    """
    how_to_begin = _how_to_begin(interface, path) if interface else f"krait example >{path}"
    try:
        with located(path) as file:
            steps = trust.steps(path, file)
            trust.require(path, steps)
            data = read_located(file, MAX_BYTES)
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}",
            hint=if_missing or f"put it there, or begin with: {how_to_begin}",
        ) from error
    warnings = trust.warnings(path, steps, (os.geteuid(), os.getegid()))
    digest = sha256(data).hexdigest()
    if known is not None and known.sha256 == digest:
        if (known.path, known.warnings) == (str(path), warnings):
            return known
        return replace(known, path=str(path), warnings=warnings)
    document = None
    if known is not None and known.path == str(path):
        document = reread(known.document, known.data, data)
    if document is None:
        document = load(data, str(path))
    if interface and document.interface not in (None, interface):
        raise UsageError(
            f"{path}: `interface: {document.interface}`, but this agent keeps {interface}",
            hint="name the document of this interface, or correct `interface:`",
        )
    if with_tests and (failures := expectations.run(document)):
        raise UsageError(
            "\n".join(failure.message for failure in failures),
            hint="the document's own tests fail: mend its rules, or the tests",
        )
    return Source(document, str(path), digest, data, warnings)


def keep(path: Path, source: Source) -> None:
    """Keep a document that was put in force, for a start that finds only a bad one."""
    with writing(path):
        if not path.exists() or path.read_bytes() != source.data:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            replace_file(path, source.data, mode=0o600, durable=True)


async def changes(path: Path, look_s: float = LOOK_S) -> AsyncGenerator[None, None]:
    """Yields whenever there may be a new whole document at `path`.

    First once it watches: a document that is read then cannot change unseen. After that when a
    writer closed the file, by whatever name, or something was renamed onto it or onto what it
    links to. Whatever else happens in the folder says nothing about the file, which may be
    half-written. A folder that is replaced is followed, and so is the file where a link is switched
    in a folder that is not watched; what is there then is taken once it kept still for a look.
    Raises SystemRefused where the kernel has no more watches to give.
    """
    is_first = True
    while True:
        try:
            with Inotify() as inotify, closing(_Events(inotify)) as events:
                above = inotify.add_watch(path.parent, _MASK)
                folder, target = _stamp(path.parent), os.path.realpath(path)
                file = _watch_file(inotify, path)
                still = None if is_first else _stamp(path)
                if is_first:
                    is_first = False
                    yield
                while _stamp(path.parent) == folder:
                    event = await events.next(look_s)
                    if event is not None and event.watch is above and event.mask & _FOLDER_GONE:
                        break
                    # Before it is told: what is read then must not change unseen either.
                    watched, file = file, _watch_file(inotify, path)
                    if watched is not None and watched not in (above, file):
                        with suppress(OSError):  # it went with its file
                            inotify.rm_watch(watched)
                    leads_to = os.path.realpath(path)
                    if event is not None and (_is_about(event, path, file) or leads_to != target):
                        target, still = leads_to, None
                        yield
                    elif file is not watched:
                        still = _stamp(path)
                    elif event is None:
                        if still is not None and still == _stamp(path):
                            yield
                        still = None  # from here on events tell
        except (FileNotFoundError, NotADirectoryError):
            pass  # not now
        except OSError as error:
            raise SystemRefused(
                f"cannot watch {path.parent}: {error.strerror}",
                hint="raise fs.inotify.max_user_instances and max_user_watches (sysctl)",
            ) from error
        if is_first:
            is_first = False
            yield
        await asyncio.sleep(look_s)


class Unheard:
    """Changes of a document that no event told: it was deleted, or a link above it switched.

    Then another file, or none, is at the path. Nobody says when that is whole: it is taken once it
    kept still for a look. The same file with other contents is its writer's to close.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: _Stamp = None
        self._seen: _Stamp = None
        self._since_s = 0.0

    def reading(self) -> None:
        """It is read from now on: what happens to it meanwhile has happened after."""
        self._read = self._seen = _stamp(self._path)

    def is_due(self, now_s: float) -> bool:
        """Whether another file than was read, or none, has been there for a while.

        `now_s` is monotonic.
        """
        found = _stamp(self._path)
        if found != self._seen:
            self._seen, self._since_s = found, now_s
        return _file(found) != _file(self._read) and now_s - self._since_s >= LOOK_S


def _how_to_begin(interface: str, path: Path) -> str:
    return f"krait init {interface} >FILE && install -D -m 600 FILE {path}"


class _Events:
    """Events one by one, or None after a time; none is lost to a time-out."""

    def __init__(self, inotify: Inotify) -> None:
        self._inotify = inotify
        self._next: asyncio.Task[Event] | None = None

    async def next(self, timeout_s: float) -> Event | None:
        if self._next is None:
            self._next = asyncio.create_task(self._inotify.get())
        await asyncio.wait({self._next}, timeout=timeout_s)
        if not self._next.done():
            return None
        done, self._next = self._next, None
        return done.result()

    def close(self) -> None:
        if self._next is not None:
            self._next.cancel()


def _watch_file(inotify: Inotify, path: Path) -> Watch | None:
    """The watch of the file that a path leads to now, the same one while it is the same file.

    It hears of writers who came by another way: by what a link leads to, by another name of the
    file, or past a mount.
    """
    try:
        return inotify.add_watch(path, _MASK_OF_FILE)
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise


def _is_about(event: Event, path: Path, file: Watch | None) -> bool:
    if event.mask & Mask.Q_OVERFLOW:
        return True
    if event.name is None:
        return event.watch is file and bool(event.mask & Mask.CLOSE_WRITE)
    return event.name.name == path.name


def _file(stamp: _Stamp) -> _Stamp:
    """Which file it is, whatever is in it."""
    return stamp and stamp[:2]


def _stamp(path: Path) -> _Stamp:
    """What changes when a file does, or a folder is another one; None if there is nothing."""
    try:
        found = os.stat(path)  # noqa: PTH116 - so that a folder and a file read alike
    except OSError:
        return None
    if path.is_dir():
        return found.st_dev, found.st_ino
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
