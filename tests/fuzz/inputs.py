# SPDX-License-Identifier: Apache-2.0
"""Changes that leave an input nearly valid, the same for one number; and what became of one."""

import re
from collections.abc import Sequence
from random import Random

from tests.fuzz.target import Target

_WORDS = (
    b"\0",
    b"\xff" * 4,
    b"- ",
    b"{",
    b"}",
    b"[",
    b"]",
    b": ",
    b"*",
    b"&a ",
    b"!!",
    b'"',
    b"\n  ",
    b"NaN",
    b"-1",
    b"null",
    b"true",
    b"1e999",
    b"9" * 400,
    b'"\\ud800\\u0000"',
    b"[" * 3000,
)
_VALUE = re.compile(rb'"[^"]*"|[\w.+-]+')
_LINES = re.compile(rb"^(?:.+\n){1,4}", re.MULTILINE)


def changed(random: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """The same, or as often a seed, with one to six things done to it.

    Seeds, for what is changed on and on is soon refused at once, and most of krait is behind that.
    """
    if random.randrange(2):
        data = random.choice(seeds)
    for _ in range(random.choice((1, 1, 2, 3, 6))):
        data = _changed(random, data, random.choice(seeds))
    return data


def is_taken(target: Target, data: bytes) -> bool:
    """Whether it was read; an error that is not declared goes up, the input noted on it."""
    try:
        target.read(data)
    except target.declared:
        return False
    except Exception as error:
        error.add_note(f"input: {data.hex()}")
        raise
    return True


def _changed(random: Random, data: bytes, other: bytes) -> bytes:
    at, length = random.randrange(len(data) + 1), random.randrange(1, 40)
    match random.randrange(12):
        case 0 | 1:
            flipped = bytes(each ^ 1 << random.randrange(8) for each in data[at : at + 1])
            return data[:at] + flipped + data[at + 1 :]
        case 2:
            return data[:at] + random.randbytes(random.randrange(1, 5)) + data[at + 4 :]
        case 3:
            return data[:at] + data[at + length :]
        case 4:
            return data[:at] + data[at : at + length] * 2 + data[at + length :]
        case 5:
            return data[:at] + random.choice(_WORDS) + data[at:]
        case 6:
            start = random.randrange(len(other) + 1)
            return data[:at] + other[start : start + length] + data[at:]
        case 7:
            start, end = _near(_VALUE, data, at)
            return data[:start] + random.choice(_WORDS) + data[end:]
        case 8:
            return data[: max(at, len(data) // 2)]
        case 9 | 10:
            start, end = _near(_VALUE, data, at)
            first, last = _near(_VALUE, other, random.randrange(len(other) + 1))
            return data[:start] + other[first:last] + data[end:]
        case _:
            start, end = _near(_LINES, data, at)
            first, last = _near(_LINES, other, random.randrange(len(other) + 1))
            return data[:start] + other[first:last] + data[random.choice((start, end)) :]


def _near(what: re.Pattern[bytes], data: bytes, at: int) -> tuple[int, int]:
    """Where the next one is, or an empty place where there is none."""
    found = what.search(data, at)
    return found.span() if found else (at, at)
