# SPDX-License-Identifier: Apache-2.0
"""How commands print: colour on a terminal, plain text in a pipe, JSON on request."""

import json
import os
import re
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from textwrap import wrap
from typing import TextIO, TypeAlias

WIDTH = 80
"""Columns that tables keep within, so that output reads the same everywhere."""

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"

_GAP = "  "
_LEAST_WRAP = 20
_SGR = re.compile("\x1b\\[[0-9;]*m")


class Style(StrEnum):
    """SGR parameters."""

    BOLD = "1"
    DIM = "2"
    RED = "31"
    GREEN = "32"
    YELLOW = "33"
    CYAN = "36"


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
    sys.stdout.write(f"{text}\n")


def remark(kind: str, text: str, style: Style) -> None:
    """A line of the answer that says what it is, such as `warning`; folded on a terminal."""
    _labelled(sys.stdout, kind, text, style)


def table(rows: Sequence[Sequence[str]], *, indent: str = "") -> None:
    """Columns aligned, painted cells included; the last is wrapped to stay within WIDTH."""
    if not rows:
        return
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
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    line()


def stream(head: Mapping[str, Json], key: str, items: Iterable[Json]) -> None:
    """The same of a great many: `head`, and under one more key a list with an item a line.

    Items are written as they come.
    """
    start = json.dumps(head, ensure_ascii=False).removesuffix("}")
    sys.stdout.write(f"{start}{', ' if head else ''}{json.dumps(key)}: [")
    comma = ""
    for item in items:
        sys.stdout.write(f"{comma}\n{json.dumps(item, ensure_ascii=False)}")
        comma = ","
    line("\n]}")


def json_option(parser: ArgumentParser) -> None:
    """Give a verb the option `--json`; it then prints one `document` and nothing else."""
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def error(message: str, hint: str = "", details: Sequence[str] = ()) -> None:
    """What went wrong, what else is known of it, and how to mend it, on standard error."""
    _notes("error", message, Style.RED)
    sys.stderr.writelines(f"  {each}\n" for each in details)
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
    said = f"{plain} {text}"
    if stream.isatty() and len(said) > WIDTH:
        said = "\n".join(pieces(said, WIDTH, indent=_GAP))
    stream.write(f"{paint(plain, *styles, stream=stream)}{said.removeprefix(plain)}\n")


def _width(text: str) -> int:
    return len(_SGR.sub("", text))


def _pieces(text: str, room: int) -> Iterator[str]:
    """Painted text stays whole: a break inside it would leave its colour open."""
    if _width(text) <= room or _SGR.search(text):
        yield text
    else:
        yield from pieces(text, max(room, _LEAST_WRAP))
