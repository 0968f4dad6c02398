# SPDX-License-Identifier: Apache-2.0
"""What an agent writes down, and what others read of it.

`Records` is for whoever comes after a crash: what was committed, so that numbers in the tables keep
their meaning. It holds the last two commits, since it is written before the store that puts the
newer one in force. `Live` is what the living agent says of itself, for `krait status`.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from krait.agent.desired import Desired, Named
from krait.agent.subject import Subject
from krait.kernel.files import read_at_most, replace_file
from krait.policy.numbering import Numbers

KEPT = 2
MAX_BYTES = 256 << 20
"""Of a file: two commits of a million peers. More is no file of ours."""
MAX_REVISION = 1 << 31
"""What follows must fit the 32 bits that the control word has for it."""

_VERSION = 1
_KEY_BYTES = 32
_MANY = 1 << 63
_END_S = 1 << 37  # wall clock: thousands of years on, and still a date

T = TypeVar("T")
Tell = Callable[[str], object]


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
    shadow: str = ""
    """Path of the document that is rehearsed; empty: none is, or the audit rules of `source`."""
    guard: bool = False
    """The guard is to be on the other interfaces; False also where an older agent did not say."""
    text: str = field(init=False, repr=False, compare=False)
    """The same as JSON: it is written twice, and of a large mesh that takes its time."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", json.dumps(_written(self)))


Records = tuple[Record, ...]
"""The newest first."""


def record(revision: int, committed_s: float, desired: Desired | None, known: Numbers) -> Record:
    """What to write down of a commit; `known` are the numbers that outlive an empty slot."""
    if desired is None:
        return Record(revision, committed_s, "", "", known)
    source = desired.source
    numbers = desired.compiled.numbers
    return Record(
        revision=revision,
        committed_s=committed_s,
        source=source.path,
        sha256=source.sha256,
        numbers=numbers,
        peers=desired.peers,
        shadow=desired.shadow.path if desired.shadow else "",
        guard=desired.guard is not None,
    )


def read_records(path: Path, tell: Tell = lambda _: None) -> Records:
    """What was written down; nothing where there is no file.

    One that cannot be understood is as if it were not there, and `tell` is told why.
    """
    return _understood(path, _records, tell) or ()


def write_records(path: Path, records: Records) -> None:
    """Replace the file as a whole, and return once it is on the disk."""
    commits = ", ".join(each.text for each in records[:KEPT])
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    content = f'{{"version": {_VERSION}, "commits": [{commits}]}}'.encode()
    replace_file(path, content, mode=0o600, durable=True)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that went wrong and is tried again."""

    message: str
    hint: str
    since_s: float
    """Wall clock."""
    subject: str = ""
    """The word of a `Subject`. One that this version does not know is another version's."""


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
    node: str = ""
    """Which node of the document this machine is, where Krait makes the interface."""
    document: str = ""
    """Path of the one that counts; empty: none was taken yet."""
    readings: int = 0
    """How often it was read, or tried to be, since the agent started."""

    def fault_of(self, subject: Subject) -> Fault | None:
        """What is wrong with it, if anything is."""
        return next((each for each in self.faults if each.subject == subject), None)


def read_live(path: Path, tell: Tell = lambda _: None) -> Live | None:
    """What the last agent said; None where there is no file, or none that we understand."""
    return _understood(path, _live, tell)


def write_live(path: Path, live: Live) -> None:
    """Replace the file as a whole. For its owner alone: faults tell of the document."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    replace_file(path, json.dumps(asdict(live)).encode(), mode=0o600, durable=False)


def _written(each: Record) -> dict[str, object]:
    numbers = each.numbers
    return {
        "revision": each.revision,
        "committed_s": each.committed_s,
        "source": each.source,
        "sha256": each.sha256,
        "shadow": each.shadow,
        "guard": each.guard,
        "identities": [None if labels is None else sorted(labels) for labels in numbers.identities],
        "rules": list(numbers.rules),
        "peers": [key and _text(key) for key in numbers.peers],
        "shadow_rules": list(numbers.shadow_rules),
        "names": {
            _text(key): {"name": who.name, "tags": list(who.tags)}
            for key, who in each.peers.items()
        },
    }


def _understood(path: Path, read: Callable[[Any], T], tell: Tell) -> T | None:
    try:
        return read(json.loads(_content(path)))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, RecursionError) as error:
        tell(f"cannot use {path}, going on without it: {type(error).__name__}: {error}")
        return None


def _content(path: Path) -> bytes:
    """Of a regular file that is not too large; anything else could be without an end."""
    content = read_at_most(path, MAX_BYTES)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES} bytes")
    return content


def _records(found: object) -> Records:
    top = _mapping(found)
    if top["version"] != _VERSION:
        raise ValueError(f"it is of version {top['version']!r}, not {_VERSION}")
    return tuple(map(_record, _list(top["commits"])))


def _record(found: object) -> Record:
    top = _mapping(found)
    return Record(
        revision=_number(top["revision"], MAX_REVISION),
        committed_s=_moment(top["committed_s"]),
        source=_string(top["source"]),
        sha256=_string(top["sha256"]),
        numbers=Numbers(
            identities=tuple(
                None if each is None else frozenset(_strings(each))
                for each in _list(top["identities"])
            ),
            rules=_names(top["rules"]),
            peers=tuple(None if each is None else _key(each) for each in _list(top["peers"])),
            shadow_rules=_names(top.get("shadow_rules", [])),
        ),
        peers={_key(key): _named(who) for key, who in _mapping(top["names"]).items()},
        shadow=_string(top.get("shadow", "")),
        guard=_of(bool, top.get("guard", False)),
    )


def _names(found: object) -> tuple[str | None, ...]:
    return tuple(None if each is None else _string(each) for each in _list(found))


def _named(found: object) -> Named:
    who = _mapping(found)
    return Named(_string(who["name"]), _strings(who["tags"]))


def _live(found: object) -> Live:
    top = _mapping(found)
    return Live(
        pid=_number(top["pid"], MAX_REVISION),
        since_s=_moment(top["since_s"]),
        kind=_string(top["kind"]),
        enforcing=_of(bool, top["enforcing"]),
        revision=_number(top["revision"], MAX_REVISION),
        faults=tuple(map(_fault, _list(top["faults"]))),
        warnings=_strings(top["warnings"]),
        withheld=_strings(top["withheld"]),
        node=_string(top.get("node", "")),
        document=_string(top.get("document", "")),
        readings=_number(top.get("readings", 0), _MANY),
    )


def _fault(found: object) -> Fault:
    top = _mapping(found)
    subject = _string(top.get("subject", ""))
    return Fault(_string(top["message"]), _string(top["hint"]), _moment(top["since_s"]), subject)


def _of(kind: type[T], found: object) -> T:
    if type(found) is not kind:  # exactly: True is an int otherwise
        raise ValueError(f"{found!r:.40} where {kind.__name__} is expected")
    return found


def _mapping(found: object) -> dict[str, object]:
    return _of(dict, found)


def _list(found: object) -> list[object]:
    return _of(list, found)


def _string(found: object) -> str:
    return _of(str, found)


def _strings(found: object) -> tuple[str, ...]:
    return tuple(map(_string, _list(found)))


def _number(found: object, below: int) -> int:
    if not 0 <= (number := _of(int, found)) < below:
        raise ValueError("a number is out of range")
    return number


def _moment(found: object) -> float:
    """Seconds since 1970."""
    moment = found if type(found) is int else _of(float, found)
    if not 0 <= moment < _END_S:
        raise ValueError("a moment is out of range")
    return float(moment)


def _key(found: object) -> bytes:
    key = b64decode(_string(found), validate=True)
    if len(key) != _KEY_BYTES:
        raise ValueError(f"a key of {len(key)} bytes")
    return key


@lru_cache(1 << 15)  # each key is written twice, and again with the next commit
def _text(key: bytes) -> str:
    return b64encode(key).decode()
