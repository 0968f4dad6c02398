# SPDX-License-Identifier: Apache-2.0
"""Numbers with their nouns, and text of any origin, as people can read them."""


def plural(count: int, noun: str, nouns: str = "") -> str:
    """`1 peer`, `1,200 peers`; `nouns` where an s is not enough."""
    return f"{count:,} {noun if count == 1 else nouns or f'{noun}s'}"


def printable(text: str) -> str:
    """Text of whatever origin without control sequences, which a terminal would obey."""
    safe = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(safe)
