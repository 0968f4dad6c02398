# SPDX-License-Identifier: Apache-2.0
"""What an agent writes down, and what others read of it.

`Records` is for whoever comes after a crash: what was committed, so that numbers in the tables keep
their meaning. It holds the last two commits, since it is written before the store that puts the
newer one in force. `Live` is what the living agent says of itself, for `krait status`.
"""

import json
import os
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from krait.agent.desired import Desired, Named
from krait.policy.numbering import Numbers

KEPT = 2
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Record:
    """One commit: all that the tables hold as numbers, by name."""

    revision: int
    committed_s: float
    """Wall clock, seconds since 1970."""
    source: str
    """Path of the document; empty where the slot is."""
    sha256: str
    numbers: Numbers
    peers: Mapping[bytes, Named] = field(default_factory=dict)
    """By public key; a peer that is not here has no name in the document."""


Records = tuple[Record, ...]
"""The newest first."""


def record(revision: int, committed_s: float, desired: Desired | None, known: Numbers) -> Record:
    """What to write down of a commit; `known` are the numbers that outlive an empty slot."""
    if desired is None:
        return Record(revision, committed_s, "", "", known)
    source = desired.source
    numbers = desired.compiled.numbers
    return Record(revision, committed_s, source.path, source.sha256, numbers, desired.peers)


def read_records(path: Path) -> Records:
    """What was written down; nothing where there is no file, or one that cannot be understood."""
    try:
        found = json.loads(path.read_bytes())
        if found["version"] != _VERSION:
            return ()
        return tuple(map(_record, found["commits"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return ()


def write_records(path: Path, records: Records) -> None:
    """Replace the file as a whole, and return once it is on the disk."""
    commits = [_written(each) for each in records[:KEPT]]
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _put(path, {"version": _VERSION, "commits": commits}, mode=0o600, durable=True)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that went wrong and is tried again."""

    message: str
    hint: str
    since_s: float
    """Wall clock."""


@dataclass(frozen=True, slots=True)
class Live:
    """A living agent. It lives while the lock is held: the file may be a dead one's."""

    pid: int
    since_s: float
    kind: str
    """`tcx` or `clsact`: how it attaches."""
    enforcing: bool
    """False: it waits for the interface, or for a policy."""
    revision: int
    faults: tuple[Fault, ...] = ()
    warnings: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    """Prefixes that moved from one peer to another and are nobody's for a moment."""


def read_live(path: Path) -> Live | None:
    """What the last agent said; None where there is no file, or one of another version."""
    try:
        found = json.loads(path.read_bytes())
        found["faults"] = tuple(Fault(**each) for each in found["faults"])
        found |= {name: tuple(found[name]) for name in ("warnings", "withheld")}
        return Live(**found)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def write_live(path: Path, live: Live) -> None:
    """Replace the file as a whole; anybody may read it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    _put(path, asdict(live), mode=0o644, durable=False)


def _put(path: Path, content: object, *, mode: int, durable: bool) -> None:
    fd, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(fd, "w") as file:
            os.fchmod(fd, mode)
            json.dump(content, file)
            file.flush()
            if durable:
                os.fsync(fd)
        Path(temporary).rename(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    if durable:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)  # the rename too
        finally:
            os.close(folder)


def _written(each: Record) -> dict[str, object]:
    numbers = each.numbers
    return {
        "revision": each.revision,
        "committed_s": each.committed_s,
        "source": each.source,
        "sha256": each.sha256,
        "identities": [None if labels is None else sorted(labels) for labels in numbers.identities],
        "rules": list(numbers.rules),
        "peers": [key and _text(key) for key in numbers.peers],
        "names": {
            _text(key): {"name": who.name, "tags": list(who.tags)}
            for key, who in each.peers.items()
        },
    }


def _record(found: dict[str, Any]) -> Record:
    return Record(
        revision=int(found["revision"]),
        committed_s=float(found["committed_s"]),
        source=str(found["source"]),
        sha256=str(found["sha256"]),
        numbers=Numbers(
            identities=tuple(
                None if each is None else frozenset(each) for each in found["identities"]
            ),
            rules=tuple(found["rules"]),
            peers=tuple(key and b64decode(key) for key in found["peers"]),
        ),
        peers={
            b64decode(key): Named(who["name"], tuple(who["tags"]))
            for key, who in found["names"].items()
        },
    )


def _text(key: bytes) -> str:
    return b64encode(key).decode()
