# SPDX-License-Identifier: Apache-2.0
"""Times and sizes as people read them."""

_SPANS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024
_TWO_DIGITS = 10


def ago(seconds: float) -> str:
    """`12 s ago`, `3 h ago`: in the largest unit that fits, rounded down."""
    for length, unit in _SPANS:
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return "now"


def size(count_bytes: int) -> str:
    """`512 B`, `1.5 MiB`, `37 GiB`."""
    amount, steps = float(count_bytes), 0
    while amount >= _STEP and steps < len(_UNITS) - 1:
        amount, steps = amount / _STEP, steps + 1
    digits = 1 if steps and amount < _TWO_DIGITS else 0
    return f"{amount:.{digits}f} {_UNITS[steps]}"


def plural(count: int, noun: str, nouns: str = "") -> str:
    """`1 peer`, `1,200 peers`; `nouns` where an s is not enough."""
    return f"{count:,} {noun if count == 1 else nouns or f'{noun}s'}"
