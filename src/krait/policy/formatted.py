# SPDX-License-Identifier: Apache-2.0
"""A document in the one form that `krait fmt` writes, with the comments that it had.

Keys stand in one order, nodes and rules in theirs. What is in a section has a line, or where that
would be too long or has comments inside, a line for each of its parts. Quotes stand where YAML, in
any version, would take the text for something else.

The library that keeps comments of YAML, ruamel.yaml, has them follow what stands before them: with
keys put in order they would be about other things. So they are read here, in `policy.commented`.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from io import StringIO
from itertools import dropwhile
from types import MappingProxyType
from typing import NamedTuple

import yaml
from yaml.emitter import Emitter
from yaml.resolver import Resolver

from krait.common.errors import UsageError
from krait.policy import commented
from krait.policy.commented import Entry, Listing, Remark, Value, Word
from krait.policy.document import load
from krait.policy.places import unplaced
from krait.policy.problems import DocumentError

WIDTH = 100
"""Columns that a line has at most, comments aside, where it can be divided."""

_STEP = 2
_APART = 2
"""Spaces before a comment."""

_NEEDS_NO_QUOTES = re.compile(r"[A-Za-z0-9/][A-Za-z0-9_/.+=-]*")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+")
"""Of YAML 1.2; PyYAML resolves as YAML 1.1 says."""

_RESOLVER = Resolver()
_TEXT = "tag:yaml.org,2002:str"


class Shape(NamedTuple):
    """How a list or a mapping is laid out."""

    order: tuple[str, ...] = ()  # of its keys; those of nodes and groups stay in theirs
    within: "Mapping[str, Shape]" = MappingProxyType({})
    each: "Shape | None" = None  # of every other part
    in_lines: bool = False  # never in one


MESH = Shape(("cidr", "listen_port", "mtu", "keepalive", "preshared_key_file"))
ROUTE = Shape(("cidr", "tags"))
NODE = Shape(
    (
        *("public_key", "tags", "address", "endpoint", "transit", "via"),
        *(*MESH.order[1:], "guard", "routes"),
    ),
    {"routes": Shape(each=ROUTE)},
)
GROUP = Shape(("address", "tags"))
RULE = Shape(("name", "from", "to", "ports", "action", "audit", "until"))
TEST = Shape(("from", "to", "port", "expect"))
LIMITS = Shape(("opens", "burst"))
POLICY = Shape(
    ("default", "strict", "guard", "limits", "groups", "rules", "tests"),
    {
        "limits": LIMITS,
        "groups": Shape(in_lines=True),
        "rules": Shape(each=RULE, in_lines=True),
        "tests": Shape(each=TEST, in_lines=True),
    },
    in_lines=True,
)
DOCUMENT = Shape(
    ("version", "interface", "node", "mesh", "nodes", "multicast", "policy"),
    {
        "mesh": MESH,
        "nodes": Shape(each=NODE, in_lines=True),
        "multicast": Shape(each=GROUP, in_lines=True),
        "policy": POLICY,
    },
    in_lines=True,
)
_ANY = Shape()


def formatted(data: bytes, source: str) -> bytes:
    """The document of these bytes in its one form; `source` is its name in messages.

    What comes out was read again, and is the same document with the same comments. Raises
    DocumentError for one that is wrong, and UsageError for one that would not be the same.
    """
    old = load(data, source)
    text = data.decode("utf-8-sig")
    new = "".join(f"{line}\n" for line in _document(commented.read(text)))
    try:
        is_same = unplaced(load(new.encode(), source)) == unplaced(old)
    except DocumentError:
        is_same = False
    if not is_same or Counter(commented.comments(new)) != Counter(commented.comments(text)):
        raise UsageError(
            f"{source} would not be the same in the form that `krait fmt` writes",
            hint="this is a fault of Krait's: please report it. Nothing was written",
        )
    return new.encode()


def _document(read: commented.Commented) -> Iterator[str]:
    if read.start is not None:
        yield from _begun(read.start)
        yield "---"
    first = read.root.entries[0]
    if _in_order(read.root, DOCUMENT)[0] is not first:
        yield from _title(first)
        first.above.insert(0, "")
    yield from _entries(read.root, DOCUMENT, 0)


def _title(first: Entry) -> list[str]:
    """Take away what stands above the first section, and apart: it is about all of the document."""
    above = _begun(first.above)
    end = len(above) - above[::-1].index("") if "" in above else 0
    first.above[:] = above[end:]
    return above[:end]


def _entries(listing: Listing, shape: Shape, indent: int) -> Iterator[str]:
    """The lines of a list or mapping whose entries have lines of their own."""
    for place, entry in enumerate(_in_order(listing, shape)):
        if place == 0:
            entry.above[:] = _begun(entry.above)
        yield from _entry(entry, _shape_of(entry, shape), indent)
    yield from _indented(listing.tail, indent)


def _entry(entry: Entry, shape: Shape, indent: int) -> Iterator[str]:
    """Its comments and its lines; `shape` is its value's."""
    above, beside = _around(entry, shape)
    key = f"{_word(entry.key, in_line=True)}:" if entry.key else "-"
    start, value = f"{' ' * indent}{key}", entry.value
    line = "" if _needs_lines(value, shape) else f"{start} {_in_line(value, shape)}"
    if isinstance(value, Word) or not value.entries or (line and len(line) <= WIDTH):
        yield from _indented(above, indent)
        yield _with(line, beside)
    elif entry.key:
        yield from _indented(above, indent)
        yield _with(start, beside)
        yield from _entries(value, shape, indent + _STEP)
    else:  # the first part is in the line of the dash, which has no place for more
        yield from _indented([*above, *([beside.text] if beside else [])], indent)
        first, *lines = _entries(value, shape, indent + _STEP)
        yield f"{start} {first.lstrip()}"
        yield from lines


def _around(entry: Entry, shape: Shape) -> tuple[list[str], Remark | None]:
    """What stands above an entry, and the one comment that has room in its line.

    Above the first part of a list's item is above the item.
    """
    beside = entry.beside[-1] if entry.beside else None
    above = [*entry.above, *(each.text for each in entry.beside[:-1])]
    if isinstance(entry.value, Listing) and entry.value.entries and not entry.key:
        first = _in_order(entry.value, shape)[0]
        inside, last = _around(first, _shape_of(first, shape))
        above += _begun(inside)
        first.above, first.beside = [], [last] if last else []
    return above, beside


def _needs_lines(value: Value, shape: Shape) -> bool:
    """Whether it cannot stand in one line, however short."""
    if isinstance(value, Word) or not value.entries:
        return False
    return shape.in_lines or value.has_comments


def _in_line(value: Value, shape: Shape, *, inside: bool = False) -> str:
    """`inside` brackets more has to be in quotes than behind a key."""
    if isinstance(value, Word):
        return _word(value, in_line=inside)
    parts = (
        (entry.key, _in_line(entry.value, _shape_of(entry, shape), inside=True))
        for entry in _in_order(value, shape)
    )
    texts = [f"{_word(key, in_line=True)}: {text}" if key else text for key, text in parts]
    return f"{{{', '.join(texts)}}}" if value.is_mapping else f"[{', '.join(texts)}]"


def _in_order(listing: Listing, shape: Shape) -> list[Entry]:
    if not shape.order:
        return listing.entries
    return sorted(listing.entries, key=lambda each: shape.order.index(_key(each)))


def _shape_of(entry: Entry, shape: Shape) -> Shape:
    """That of an entry's value."""
    return shape.within.get(_key(entry)) or shape.each or _ANY


def _key(entry: Entry) -> str:
    return entry.key.text if entry.key else ""


def _with(line: str, beside: Remark | None) -> str:
    if beside is None:
        return line
    return f"{line:<{max(beside.column, len(line) + _APART)}}{beside.text}"


def _indented(lines: list[str], indent: int) -> Iterator[str]:
    for line in lines:
        yield f"{' ' * indent}{line}" if line else ""


def _begun(lines: list[str]) -> list[str]:
    """Without the blank line that nothing stands before."""
    return list(dropwhile(lambda line: not line, lines))


def written(text: str, *, in_line: bool = True) -> str:
    """A text in quotes where YAML needs them. `in_line`: inside of brackets."""
    return _word(Word(text, plain=False), in_line=in_line)


def _word(word: Word, *, in_line: bool) -> str:
    if _stands_alone(word.text, in_line) and (word.plain or _is_text(word.text)):
        return word.text
    return json.dumps(word.text, ensure_ascii=False)


@cache
def _stands_alone(text: str, in_line: bool) -> bool:
    """Whether YAML reads it as one plain word."""
    if _NEEDS_NO_QUOTES.fullmatch(text):
        return True
    found = Emitter(StringIO()).analyze_scalar(text)
    return bool(found.allow_flow_plain if in_line else found.allow_block_plain)


@cache
def _is_text(text: str) -> bool:
    """Whether nobody takes it for a number, a date, a truth or nothing."""
    kind = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return kind == _TEXT and not _NUMBER.fullmatch(text)
