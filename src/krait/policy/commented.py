# SPDX-License-Identifier: Apache-2.0
"""A document's text as entries, each with the comments that are about it.

A comment is about the entry in whose line it stands, else about the one that follows, unless it is
indented deeper than that: then it ends the list or mapping in which it stands. Only texts that
`document.load` takes are read here, so there are no aliases, no depth and no missing values.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

Value: TypeAlias = "Word | Listing"
_Event: TypeAlias = Any  # the stubs know less of events than the parser gives

_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_COMMENT = re.compile("#[^\r\n]*")
_HEADER = re.compile(r"[|>][-+0-9]*[ \t]+(#[^\r\n]*)")
"""The first line of a block of text, with a comment."""

_INDENT = " \t-?"
"""What may stand before the first entry of a line."""

_ALIGNED_SPACES = 3
"""So many before a comment are no chance: it stands in a column with others."""


@dataclass(slots=True)
class Word:
    """A piece of text."""

    text: str
    plain: bool  # written without quotes


@dataclass(slots=True)
class Listing:
    """A list, or a mapping, whose entries have keys."""

    is_mapping: bool
    column: int  # from 0: where entries begin that stand in lines of their own
    entries: "list[Entry]" = field(default_factory=list)
    tail: list[str] = field(default_factory=list)  # behind the last entry, as `above`

    @property
    def has_comments(self) -> bool:
        """Whether one is about something inside it."""
        return any(self.tail) or any(entry.has_comments for entry in self.entries)


@dataclass(slots=True)
class Remark:
    """A comment behind something in the same line."""

    text: str  # with its #
    column: int  # from 0; 0 where it is aligned with nothing


@dataclass(slots=True)
class Entry:
    """A key with its value, or an item of a list."""

    key: Word | None = None
    value: Value = field(default_factory=lambda: Word("", plain=True))
    above: list[str] = field(default_factory=list)  # comments, and "" for blank lines
    beside: list[Remark] = field(default_factory=list)

    @property
    def has_comments(self) -> bool:
        """Whether one is about it, or about something inside it."""
        inside = isinstance(self.value, Listing) and self.value.has_comments
        return bool(self.beside) or any(self.above) or inside


@dataclass(slots=True)
class Commented:
    """All of a text."""

    start: list[str] | None  # what stands above its `---`; None without one
    root: Listing


def read(text: str) -> Commented:
    """The entries of a document that `load` takes, without a byte order mark."""
    reader = _Reader(text)
    for each in _stream(text):
        reader.take(each)
    return Commented(reader.start, reader.root)


def comments(text: str) -> list[str]:
    """Every comment, in the order of the text."""
    return [each.text for each in _stream(text) if isinstance(each, _Comment)]


@dataclass(frozen=True, slots=True)
class _Comment:
    index: int
    text: str
    before: str  # what is written since the last word or bracket
    in_header: bool = False  # of a block of text


def _stream(text: str) -> Iterator["_Comment | _Event"]:
    """Events with the comments before them: outside of words, # begins one wherever it stands."""
    end = 0
    for event in iter(_PARSER(text).get_event, None):
        start, written = event.start_mark.index, end
        before = ""
        for match in _COMMENT.finditer(text, end, start):
            before += text[written : match.start()]
            written = match.end()
            yield _Comment(match.start(), match.group().rstrip(), before)
        is_block = isinstance(event, yaml.CollectionStartEvent) and not event.flow_style
        end = max(end, start if is_block else event.end_mark.index)  # a dash is its entry's
        yield event
        if isinstance(event, yaml.ScalarEvent) and event.style in ("|", ">"):
            header = _HEADER.match(text, start)
            if header:
                yield _Comment(header.start(1), header[1].rstrip(), "", in_header=True)


class _Reader:
    """Puts the comments to the entries, which come in the order of the text."""

    def __init__(self, text: str) -> None:
        self.root = Listing(is_mapping=True, column=0)
        self.start: list[str] | None = None
        self._text = text
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self._stack: list[tuple[Listing, Entry | None]] = []  # and the entry that it is in
        self._keyed: Entry | None = None  # whose value comes next
        self._last: Entry | None = None
        self._ended: list[Listing] = []  # lists and mappings that no word has followed yet
        self._waiting: list[_Comment] = []

    def take(self, each: "_Comment | _Event") -> None:
        if isinstance(each, _Comment):
            if each.in_header and self._last:
                self._remark(self._last, each)
            else:
                self._waiting.append(each)
        elif isinstance(each, yaml.ScalarEvent):
            self._word(each)
        elif isinstance(each, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._begin(each)
        elif isinstance(each, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._end(each)
        elif isinstance(each, yaml.DocumentStartEvent) and each.explicit:
            self.start = [line for one in self._waiting for line in self._above(one)]
            self._waiting.clear()
        elif isinstance(each, yaml.StreamEndEvent):
            self._settle(self.root.tail, -1)

    def _word(self, event: _Event) -> None:
        word = Word(event.value, not event.style)
        if self._keyed:
            self._settle(self._keyed.above, event.start_mark.column)
            self._keyed.value, self._keyed = word, None
            return
        entry = self._enter(event)
        if self._stack[-1][0].is_mapping:
            entry.key, self._keyed = word, entry
        else:
            entry.value = word

    def _begin(self, event: _Event) -> None:
        listing = Listing(isinstance(event, yaml.MappingStartEvent), event.start_mark.column)
        entry = self._keyed
        if not self._stack:
            self.root = listing
        elif entry is None:
            entry = self._enter(event)
        elif event.flow_style:
            self._settle(entry.above, listing.column)
        if entry:
            entry.value = listing
        self._keyed = None
        self._stack.append((listing, entry))

    def _end(self, event: _Event) -> None:
        listing, owner = self._stack.pop()
        if event.end_mark.index == event.start_mark.index:  # of a block, whose end is not written
            self._ended.append(listing)
            return
        self._settle(listing.tail, -1)
        self._last = owner
        if owner and not listing.entries:  # nothing to stand behind
            owner.above += listing.tail
            listing.tail = []

    def _enter(self, event: _Event) -> Entry:
        """A new entry of the innermost list or mapping."""
        listing, start = self._stack[-1][0], event.start_mark.index
        entries, entry = listing.entries, Entry()
        self._settle(entry.above, listing.column)
        line = bisect_right(self._lines, start) - 1
        if not self._text[self._lines[line] : start].strip(_INDENT) and self._is_blank(line):
            entry.above.append("")
        if not entries and not any(entry.above):
            entry.above.clear()
        entries.append(entry)
        self._last = entry
        return entry

    def _settle(self, above: list[str], column: int) -> None:
        """Put what waits where it belongs: if nowhere else, above what begins in this column."""
        for comment in self._waiting:
            beside = bool(self._before(comment).strip()) and not self._is_fresh(comment)
            if beside and self._last:
                self._remark(self._last, comment)
                continue
            place = self._column(comment)
            if place > column and self._ended:
                while len(self._ended) > 1 and not _is_in(place, *self._ended[:2]):
                    del self._ended[0]
                self._ended[0].tail += self._above(comment)
            else:
                self._ended.clear()
                above += self._above(comment)
        self._ended.clear()
        self._waiting.clear()

    def _remark(self, entry: Entry, comment: _Comment) -> None:
        written = self._before(comment)
        spaces = len(written) - len(written.rstrip())
        column = self._column(comment) if spaces >= _ALIGNED_SPACES else 0
        entry.beside.append(Remark(comment.text, column))

    def _above(self, comment: _Comment) -> list[str]:
        blank = self._is_blank(bisect_right(self._lines, comment.index) - 1)
        return ["", comment.text] if blank else [comment.text]

    def _before(self, comment: _Comment) -> str:
        """The line up to a comment."""
        return self._text[self._line_start(comment) : comment.index]

    def _column(self, comment: _Comment) -> int:
        return comment.index - self._line_start(comment)

    def _line_start(self, comment: _Comment) -> int:
        return self._lines[bisect_right(self._lines, comment.index) - 1]

    def _is_fresh(self, comment: _Comment) -> bool:
        """Whether it is behind the sign that begins an entry, and not behind any of it."""
        return bool({"-", "?"} & set(comment.before))

    def _is_blank(self, line: int) -> bool:
        """Whether the line above this one has nothing in it."""
        if line == 0:
            return False
        return not self._text[self._lines[line - 1] : self._lines[line]].strip()


def _is_in(column: int, inner: Listing, outer: Listing) -> bool:
    """Whether a comment in this column, behind the end of both, is at the end of the inner one.

    The items of a list may begin in the column of the key that has the list.
    """
    return column > outer.column or column == inner.column
