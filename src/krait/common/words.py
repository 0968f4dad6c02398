# SPDX-License-Identifier: Apache-2.0
"""Numbers with their nouns, as people read them."""


def plural(count: int, noun: str, nouns: str = "") -> str:
    """`1 peer`, `1,200 peers`; `nouns` where an s is not enough."""
    return f"{count:,} {noun if count == 1 else nouns or f'{noun}s'}"
