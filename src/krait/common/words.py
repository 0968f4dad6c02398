# SPDX-License-Identifier: Apache-2.0
"""Numbers with their nouns, and text of any origin, as people can read them."""

from collections.abc import Sequence


def plural(count: int, noun: str, nouns: str = "") -> str:
    """`1 peer`, `1,200 peers`; `nouns` where an s is not enough."""
    return f"{count:,} {noun if count == 1 else nouns or f'{noun}s'}"


def printable(text: str) -> str:
    """Text of whatever origin without control sequences, which a terminal would obey."""
    safe = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(safe)


def changes(noun: str, gone: Sequence[object], new: Sequence[object]) -> str:
    """`remove 2 addresses, add route 10.8.0.0/24`: one by itself, several by their number."""
    return ", ".join(
        f"{verb} {_few(noun, each)}" for verb, each in (("remove", gone), ("add", new)) if each
    )


def _few(noun: str, some: Sequence[object]) -> str:
    if len(some) == 1:
        return f"{noun} {some[0]}"
    return plural(len(some), noun, f"{noun}es" if noun.endswith("s") else "")
