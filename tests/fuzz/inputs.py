# SPDX-License-Identifier: Apache-2.0
"""Inputs that are nearly valid, the same for one number; and what became of one."""

import re
from collections.abc import Iterator
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


def inputs(target: Target, random: Random) -> Iterator[bytes]:
    """Without end: its seeds with one to six things done to them."""
    while True:
        data = random.choice(target.seeds)
        for _ in range(random.randrange(1, 7)):
            data = _changed(random, data, random.choice(target.seeds))
        yield data


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
    match random.randrange(9):
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
            found = _VALUE.search(data, at)
            start, end = found.span() if found else (at, at)
            return data[:start] + random.choice(_WORDS) + data[end:]
        case _:
            return data[: max(at, len(data) // 2)]
