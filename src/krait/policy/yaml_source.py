# SPDX-License-Identifier: Apache-2.0
"""YAML, reduced to what a policy document needs: a tree of marked text.

Built from the parser's events, not by its composer: the composer resolves aliases silently and
recurses in C, while a stream of events lets us refuse anchors and depth before anything grows.
Scalars stay text; what `10` or `no` means is for the field that holds it to say.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

import yaml

from krait.policy.model import Mark
from krait.policy.problems import Problems, quoted

_Event: TypeAlias = Any  # the stubs know less of events than the parser gives

MAX_BYTES = 16 << 20
"""Of one document; 100,000 rules are about 9 MiB."""

MAX_EVENTS = 1 << 22
"""Scalars, and starts and ends of lists and mappings: bounds memory to a few hundred MiB."""

MAX_DEPTH = 16
"""A document that means something needs seven."""

_TOO_MANY = "more than {:,} words, lists and mappings"
_BEGIN = "start with `nodes:` and `policy:`, or with what `krait example` prints"
_SHORTER = "let rules name tags that many nodes have, and not one node each"
_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ODD = re.compile(
    "(?P<line>\r(?!\n)|[\x85\u2028\u2029])"
    "|(?P<order>[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069])"  # Unicode's Bidi_Control
    "|[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_WHY_ODD = {
    "line": "; a line ends here for YAML, though not where it is edited or reviewed",
    "order": "; what is around it is shown in another order than it is read",
}
_TAB_INDENT = re.compile("^ *(\t)", re.MULTILINE)


class Scalar(NamedTuple):
    """A piece of text; line and column count from 1."""

    line: int
    column: int
    text: str
    plain: bool  # written without quotes


class Sequence(NamedTuple):
    """A list."""

    line: int
    column: int
    items: "list[Tree]"


class Mapping(NamedTuple):
    """Keys with their places, and values under the same keys."""

    line: int
    column: int
    keys: dict[str, Scalar]
    values: "dict[str, Tree]"


Tree: TypeAlias = Scalar | Sequence | Mapping


class _Open(NamedTuple):
    """A list or mapping whose end has not come yet; a mapping's children are key, value, key…"""

    line: int
    column: int
    is_mapping: bool
    children: list[Tree]


def read(data: bytes, problems: Problems) -> Tree:
    """Parse one YAML document.

    Notes tags, anchors, aliases and duplicate keys as problems and goes on. Raises DocumentError
    for what cannot be read at all: too large, not UTF-8, broken syntax, none or several documents.
    """
    text = _decode(data, problems)
    if _has_too_many(text):
        problems.stop(Mark(1, 1), _TOO_MANY.format(MAX_EVENTS), _SHORTER)
    try:
        roots = _build(iter(_PARSER(text).get_event, None), problems)
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark or error.context_mark
        place = Mark(at.line + 1, at.column + 1) if at else Mark(1, 1)
        problems.stop(place, f"not valid YAML: {error.problem}", _syntax_hint(error))
    except (yaml.YAMLError, ValueError) as error:  # the pure parser lets chr() of an escape fail
        problems.stop(Mark(1, 1), f"not valid YAML: {error}".splitlines()[0])
    if not roots:
        problems.stop(Mark(1, 1), "the document is empty", _BEGIN)
    return roots[0]


def _decode(data: bytes, problems: Problems) -> str:
    if len(data) > MAX_BYTES:
        problems.stop(Mark(1, 1), f"the document is larger than {MAX_BYTES >> 20} MiB", _SHORTER)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        good, bad = error.object[: error.start].decode(), error.object[error.start]
        problems.stop(_end_of(good), f"not UTF-8: byte 0x{bad:02x}", "save the file as UTF-8")
    if (directive := f"\n{text}".find("\n%")) >= 0:  # those of %TAG cost libyaml their square
        problems.stop(_end_of(text[:directive]), "a directive of YAML", "leave the line out")
    if tab := _TAB_INDENT.search(text):
        problems.stop(
            _end_of(text[: tab.start(1)]), "a tab in the indentation", "YAML indents with spaces"
        )
    if odd := _ODD.search(text):
        problems.stop(
            _end_of(text[: odd.start()]),
            f"a control character, U+{ord(odd.group()):04X}",
            f"take it out{_WHY_ODD.get(odd.lastgroup or '', '')}",
        )
    return text


def _has_too_many(text: str) -> bool:
    """Whether there are more than MAX_EVENTS, counted by libyaml alone: nothing is kept of them.

    What it cannot read is told of by who reads it.
    """
    count = getattr(_PARSER, "raw_parse", None)
    if len(text) > MAX_EVENTS and count is not None:
        with suppress(yaml.YAMLError):
            return bool(count(_PARSER(text)) > MAX_EVENTS)
    return False


def _end_of(text: str) -> Mark:
    """The place just behind a text that starts the document."""
    return Mark(text.count("\n") + 1, len(text) - text.rfind("\n"))


def _build(events: Iterator[_Event], problems: Problems) -> list[Tree]:
    """The documents of the stream, which are one or none."""
    roots: list[Tree] = []
    stack: list[_Open] = []
    children = roots
    scalar, sequence, mapping = yaml.ScalarEvent, yaml.SequenceStartEvent, yaml.MappingStartEvent
    for count, event in enumerate(events):
        kind = type(event)
        if kind is scalar:
            line, column = _start(event, problems)
            children.append(Scalar(line, column, event.value, not event.style))
        elif kind is sequence or kind is mapping:
            line, column = _start(event, problems)
            stack.append(_Open(line, column, kind is mapping, children := []))
            if len(stack) > MAX_DEPTH:
                problems.stop(
                    stack[-1],
                    f"nested deeper than {MAX_DEPTH} levels",
                    "no key of a document lies so deep",
                )
        elif kind is yaml.SequenceEndEvent or kind is yaml.MappingEndEvent:
            done = stack.pop()
            children = stack[-1].children if stack else roots
            children.append(_close(done, problems))
        elif kind is yaml.AliasEvent:
            children.append(Scalar(*_start(event, problems), "", plain=True))
        elif kind is yaml.DocumentStartEvent and roots:
            problems.stop(_mark(event), "a second document", "write one per file")
        if count > MAX_EVENTS:
            problems.stop(_mark(event), _TOO_MANY.format(MAX_EVENTS), _SHORTER)
    return roots


def _close(done: _Open, problems: Problems) -> Tree:
    if not done.is_mapping:
        return Sequence(done.line, done.column, done.children)
    keys: dict[str, Scalar] = {}
    values: dict[str, Tree] = {}
    pairs = iter(done.children)
    for key, value in zip(pairs, pairs, strict=True):
        if type(key) is not Scalar:
            problems.add(key, "a list or mapping as a key", "keys are plain words")
        elif (text := key.text) in keys:
            first = keys[text].line
            problems.add(key, f"duplicate key {quoted(text)}", f"it is already in line {first}")
        else:
            keys[text] = key
            values[text] = value
    return Mapping(done.line, done.column, keys, values)


def _start(event: _Event, problems: Problems) -> tuple[int, int]:
    """Where a value stands; notes an anchor, alias or tag on it."""
    mark = event.start_mark
    place = mark.line + 1, mark.column + 1
    if event.anchor:
        alias = isinstance(event, yaml.AliasEvent)
        sign = f"an alias, *{event.anchor}" if alias else f"an anchor, &{event.anchor}"
        problems.add(Mark(*place), sign, 'write the value out; quote "*" itself')
    elif event.tag:
        problems.add(Mark(*place), f"a YAML tag, {quoted(event.tag)}", "leave it out")
    return place


def _mark(event: _Event) -> Mark:
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)


def _syntax_hint(error: yaml.MarkedYAMLError) -> str:
    if error.context and "alias" in error.context:
        return 'write "*" in quotes'
    if error.problem and "cannot start any token" in error.problem:
        return "put the text in quotes"
    return ""
