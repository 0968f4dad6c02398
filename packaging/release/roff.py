# SPDX-License-Identifier: Apache-2.0
"""Markdown, as far as docs/ has it, to the macros of man pages: groff_man(7).

Headings, paragraphs, lists, tables, fenced code; in a line code, bold and links. A table becomes a
list of terms, under its heads: the first cell is the term, the others follow; of more than one,
each after the head of its column.
"""

import re
from collections.abc import Iterator
from itertools import takewhile

_SPAN = re.compile(
    r"`(?P<code>[^`]+)`|\*\*(?P<bold>[^*]+)\*\*|\*(?P<stress>[^*\s][^*]*)\*"
    r"|\[(?P<link>[^]]+)]\([^)]*\)"
)
_ITEM = re.compile(r"(?:\*|-|\d+\.) +")
_BLOCK = re.compile(r"$|#|\||```|(?:\*|-|\d+\.) ")


def section(title: str) -> str:
    """A heading of the first level; plain text."""
    return f".SH {_quoted(escaped(title.upper()))}"


def subsection(title: str) -> str:
    """A heading of the second level; Markdown."""
    return f".SS {_quoted(_spans(title))}"


def paragraph(text: str) -> str:
    """Markdown without structure."""
    return f".PP\n{_spans(text)}"


def term(what: str, meaning: str) -> str:
    """An entry of a list; both are Markdown."""
    return f".TP\n{_spans(what)}\n{_spans(meaning)}"


def verbatim(lines: list[str]) -> str:
    """Lines as they are."""
    return "\n".join([".PP", ".RS 4", ".nf", *map(escaped, lines), ".fi", ".RE"])


def escaped(text: str) -> str:
    """Text that means itself, wherever in a line; `-` is the one that shells understand."""
    kept = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{kept}" if kept[:1] in {".", "'"} else kept


def from_markdown(text: str) -> str:
    """The body of a document; its title is left out, and `##` is a section."""
    return "\n".join(_blocks(text.splitlines()))


def _blocks(lines: list[str]) -> Iterator[str]:
    while lines:
        first, *rest = lines
        block = [first]
        if first.startswith("```"):
            block += takewhile(lambda each: not each.startswith("```"), rest)
            yield verbatim(block[1:])
            block.append("```")
        elif first.startswith("# "):
            pass
        elif first.startswith("## "):
            yield section(first[3:].replace("`", ""))
        elif first.startswith("#"):
            yield subsection(first.lstrip("# "))
        elif first.startswith("|"):
            block += takewhile(lambda each: each.startswith("|"), rest)
            yield from _table(block)
        elif _ITEM.match(first):
            block += takewhile(lambda each: each.startswith("  "), rest)
            yield f".IP \\(bu 2\n{_spans(_ITEM.sub('', _joined(block), count=1))}"
        elif first:
            block += takewhile(lambda each: not _BLOCK.match(each), rest)
            yield paragraph(_joined(block))
        lines = lines[len(block) :]


def _table(lines: list[str]) -> Iterator[str]:
    (what, *heads), _, *rows = (_cells(line) for line in lines)
    if what:
        yield paragraph(f"{what}: {heads[0]}" if len(heads) == 1 and heads[0] else f"{what}:")
    for first, *others in rows:
        named = len(others) > 1
        said = (
            f"{head}: {cell}." if named else cell
            for head, cell in zip(heads, others, strict=True)
            if cell
        )
        yield term(first, " ".join(said))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _joined(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines)


def _spans(text: str) -> str:
    done, pieces = 0, []
    for found in _SPAN.finditer(text):
        pieces += [_plain(text[done : found.start()]), _span(found)]
        done = found.end()
    line = "".join([*pieces, _plain(text[done:])])
    return rf"\&{line}" if line[:1] in {".", "'"} else line


def _span(found: re.Match[str]) -> str:
    if bold := found["code"] or found["bold"]:
        return rf"\fB{escaped(bold)}\fR"
    return rf"\fI{_plain(found['stress'])}\fR" if found["stress"] else _spans(found["link"])


def _plain(text: str) -> str:
    """Running text: a hyphen may break a line there."""
    return text.replace("\\", r"\e")


def _quoted(text: str) -> str:
    """An argument of a macro."""
    return '"' + text.replace('"', r"\(dq") + '"'
