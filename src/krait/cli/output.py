# SPDX-License-Identifier: Apache-2.0
"""How commands print: colour on a terminal, plain text in a pipe, JSON on request.

Names of interfaces, files and whatever else may hold anything but a slash. None of them reaches a
terminal as it is, which would obey it, and none breaks the output off.
"""

import codecs
import json
import os
import re
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from textwrap import wrap
from typing import TextIO, TypeAlias

from krait.common.words import printable

WIDTH = 80
"""Columns that tables keep within, so that output reads the same everywhere."""

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"

_GAP = "  "
_LEAST_WRAP = 20
_HIDDEN = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
"""What JSON need not escape, though a terminal obeys it, or it is half a character."""


class Style(StrEnum):
    """SGR parameters."""

    BOLD = "1"
    DIM = "2"
    RED = "31"
    GREEN = "32"
    YELLOW = "33"
    CYAN = "36"


_PAINTED = re.compile(f"(\x1b\\[(?:{'|'.join((*Style, '0', ';'))})+m)")
"""What `paint` writes."""


def has_colour(stream: TextIO) -> bool:
    """Whether colour helps: on a terminal, unless NO_COLOR or a dumb one says otherwise."""
    refused = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not refused


def paint(text: str, *styles: Style, stream: TextIO | None = None) -> str:
    """The text in these styles where `stream`, by default standard output, shows them."""
    if not text or not has_colour(stream or sys.stdout):
        return text
    return f"\x1b[{';'.join(styles)}m{text}\x1b[0m"


def line(text: str = "") -> None:
    """One line on standard output."""
    sys.stdout.write(f"{_safe(text)}\n")


def remark(kind: str, text: str, style: Style) -> None:
    """A line of the answer that says what it is, such as `warning`; folded on a terminal."""
    _labelled(sys.stdout, kind, text, style)


def table(rows: Sequence[Sequence[str]], *, indent: str = "") -> None:
    """Columns aligned, painted cells included; the last is wrapped to stay within WIDTH."""
    if not rows:
        return
    rows = [tuple(map(_safe, row)) for row in rows]
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    room = WIDTH - len(indent) - sum(widths[:-1]) - len(_GAP) * (len(widths) - 1)
    for row in rows:
        *cells, last = row
        start = "".join(
            cell + " " * (width - _width(cell)) + _GAP
            for cell, width in zip(cells, widths, strict=False)
        )
        for piece in _pieces(last, room):
            line(f"{indent}{start}{piece}".rstrip())
            start = " " * _width(start)


def pieces(text: str, columns: int, *, indent: str = "") -> list[str]:
    """Plain text in lines of so many columns, broken at spaces alone: names and commands have -.

    `indent` is for all lines but the first.
    """
    return wrap(
        text,
        columns,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def document(value: Json) -> None:
    """A JSON document on standard output."""
    sys.stdout.write(f"{_json(value, indent=2)}\n")


def stream(head: Mapping[str, Json], key: str, items: Iterable[Json]) -> None:
    """The same of a great many: `head`, and under one more key a list with an item a line.

    Items are written as they come.
    """
    start = _json(head).removesuffix("}")
    sys.stdout.write(f"{start}{', ' if head else ''}{_json(key)}: [")
    comma = ""
    for item in items:
        sys.stdout.write(f"{comma}\n{_json(item)}")
        comma = ","
    line("\n]}")


def json_option(parser: ArgumentParser) -> None:
    """Give a verb the option `--json`; it then prints one `document` and nothing else."""
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def error(message: str, hint: str = "", details: Sequence[str] = ()) -> None:
    """What went wrong, what else is known of it, and how to mend it, on standard error."""
    _notes("error", message, Style.RED)
    sys.stderr.writelines(f"  {printable(each)}\n" for each in details)
    _notes("hint", hint, Style.CYAN)


def warning(message: str, hint: str = "") -> None:
    """What the reader may not have meant, and how to mend it, on standard error."""
    _notes("warning", message, Style.YELLOW)
    _notes("hint", hint, Style.CYAN)


def note(message: str) -> None:
    """What the reader may need next, on standard error."""
    _notes("note", message, Style.CYAN)


def _notes(kind: str, text: str, style: Style) -> None:
    for each in text.splitlines():
        _labelled(sys.stderr, kind, each, style, Style.BOLD)


def _labelled(stream: TextIO, kind: str, text: str, *styles: Style) -> None:
    """A line of a kind; on a terminal it is kept within WIDTH, what follows indented."""
    plain = f"{kind}:"
    said = f"{plain} {printable(text)}"
    if stream.isatty() and len(said) > WIDTH:
        said = "\n".join(pieces(said, WIDTH, indent=_GAP))
    stream.write(f"{paint(plain, *styles, stream=stream)}{said.removeprefix(plain)}\n")


def _safe(text: str) -> str:
    """Text for standard output without control sequences, but those of `paint` where they show."""
    if text.isprintable():
        return text
    is_painted = has_colour(sys.stdout)
    return "\n".join(
        "".join(
            part if is_painted and _PAINTED.fullmatch(part) else printable(part)
            for part in _PAINTED.split(each)
        )
        for each in text.split("\n")
    )


def _json(value: Json, indent: int | None = None) -> str:
    encoding = codecs.lookup(sys.stdout.encoding or "utf-8").name
    text = json.dumps(value, indent=indent, ensure_ascii=encoding != "utf-8")
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _width(text: str) -> int:
    return len(_PAINTED.sub("", text))


def _pieces(text: str, room: int) -> Iterator[str]:
    """Painted text stays whole: a break inside it would leave its colour open."""
    if _width(text) <= room or _PAINTED.search(text):
        yield text
    else:
        yield from pieces(text, max(room, _LEAST_WRAP))
