# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a document: every problem with its place, reported together."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain
from string import ascii_lowercase, digits
from typing import NoReturn, Protocol, TypeVar

from krait.common.errors import UsageError
from krait.common.words import printable

T = TypeVar("T")

MAX_PROBLEMS = 50
"""After so many a reader has the idea; suggestions for the rest would only cost time."""

_SHOWN_CHARACTERS = 48
_MOST_COMPARED = 200
"""Words that a misspelt one is compared with: of a large mesh it would take minutes."""

_LETTERS = f"{ascii_lowercase}{digits}-"
"""Of names."""

_KEY = re.compile(r"[A-Za-z0-9+/]{43}=")  # 32 bytes in base64, public or not


class Place(Protocol):
    """Whatever knows where it stands in the document; line and column count from 1."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault of a document, where it is, and how to mend it; line and column from 1."""

    line: int
    column: int
    message: str
    hint: str = ""

    def render(self, source: str) -> str:
        """As compilers write it, so that editors jump to the place."""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{source}:{self.line}:{self.column}: {self.message}{hint}"


class DocumentError(UsageError):
    """A document that cannot be used. `message` has a line for each problem, in order of line."""

    def __init__(self, source: str, problems: tuple[Problem, ...], *, more: bool = False) -> None:
        lines = [problem.render(source) for problem in problems]
        if more:
            lines.append(f"{source}: more problems follow; mend these first")
        super().__init__("\n".join(lines))
        self.source = source
        self.problems = problems


class Problems:
    """Gathers the problems of one document.

    One place has one problem, the first found: what follows from a fault is not reported too.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._found: dict[tuple[int, int], Problem] = {}

    def add(self, place: Place, message: str, hint: str = "") -> None:
        """Note a problem and go on. Raises DocumentError once there are MAX_PROBLEMS."""
        found = Problem(place.line, place.column, message, hint)
        self._found.setdefault((place.line, place.column), found)
        if len(self._found) >= MAX_PROBLEMS:
            self._fail(more=True)

    def stop(self, place: Place, message: str, hint: str = "") -> NoReturn:
        """Note a problem beyond which nothing can be read, and raise DocumentError."""
        self._found[place.line, place.column] = Problem(place.line, place.column, message, hint)
        self._fail()

    def settle(self, value: T | None) -> T:
        """What was read, if no problem was noted; else raises DocumentError."""
        if self._found or value is None:
            self._fail()
        return value

    def _fail(self, *, more: bool = False) -> NoReturn:
        raise DocumentError(self._source, tuple(sorted(self._found.values())), more=more)


def quoted(text: str) -> str:
    """Text of the document as it may be shown: short, without keys and control sequences.

    A key that stands where none is expected may well be a secret one.
    """
    text = _KEY.sub("(a key)", text)
    short = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
    return f'"{printable(short)}"'


def has_key(text: str) -> bool:
    """Whether there is something in it that can be a key of WireGuard."""
    return _KEY.search(text) is not None


def suggestion(word: str, *known: Collection[str]) -> str:
    """A hint with the nearest known word, or nothing where none is near.

    Of many words those alone are near that are one slip away: they are looked up, for which sets
    are best, and never compared.
    """
    word = word[:_SHOWN_CHARACTERS]
    near: Iterator[str] = chain(*known)
    if sum(map(len, known)) > _MOST_COMPARED:
        near = (each for each in _one_slip_from(word) if any(each in words for words in known))
    nearest = get_close_matches(word, near, n=1)
    return f"did you mean {quoted(nearest[0])}?" if nearest else ""


def _one_slip_from(word: str) -> Iterator[str]:
    """The words with a letter more, less or another, or with two that changed places."""
    for place in range(len(word) + 1):
        before, behind = word[:place], word[place:]
        yield before + behind[1:]
        yield before + behind[1:2] + behind[:1] + behind[2:]
        for letter in _LETTERS:
            yield before + letter + behind
            yield before + letter + behind[1:]
