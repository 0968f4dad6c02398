# SPDX-License-Identifier: Apache-2.0
"""What a check answers, and how checks are run."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from krait.cli.failure import details, in_words
from krait.common.errors import KraitError


class Level(StrEnum):
    """How much an answer matters."""

    OK = "ok"
    NOTE = "note"
    """True, and good to know; nothing to mend."""
    WARN = "warn"
    """Krait works, but not as well as it could, or not against what an operator may expect."""
    FAIL = "fail"
    """Krait cannot work."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A sentence, and how to mend what it says: a command in a line of its own can be copied."""

    level: Level
    message: str
    hint: str = ""
    details: tuple[str, ...] = ()
    """What else is known, line by line, such as the end of the verifier's log."""


@dataclass(frozen=True, slots=True)
class Finding:
    """An answer, and to which question."""

    group: str
    name: str
    answer: Answer


Check: TypeAlias = Callable[[], Answer]
Checks: TypeAlias = Mapping[str, Check]


def ok(message: str) -> Answer:
    """An answer of level OK: nothing to mend."""
    return Answer(Level.OK, message)


def note(message: str, hint: str = "") -> Answer:
    """An answer of level NOTE; a hint says what would be better."""
    return Answer(Level.NOTE, message, hint)


def warn(message: str, hint: str) -> Answer:
    """An answer of level WARN, with its mend."""
    return Answer(Level.WARN, message, hint)


def fail(message: str, hint: str) -> Answer:
    """An answer of level FAIL, with its mend."""
    return Answer(Level.FAIL, message, hint)


def examine(group: str, checks: Checks) -> Iterator[Finding]:
    """Run each check of a group; one that raises fails, and the others go on."""
    for name, check in checks.items():
        yield Finding(group, name, answer(check))


def answer(check: Check) -> Answer:
    """What a check says; an error that it raises is an answer too."""
    try:
        return check()
    except (KraitError, OSError) as error:
        return refusal(in_words(error))


def refusal(error: KraitError) -> Answer:
    """An error as an answer; of a document with many problems, the first."""
    return Answer(Level.FAIL, error.message.partition("\n")[0], error.hint, details(error))
