# SPDX-License-Identifier: Apache-2.0
"""Times and sizes as people read them."""

_SPANS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024
_TWO_DIGITS = 10
_THOUSANDS = ("", "k", "M", "G", "T")
_EXACT = 10_000


def span(seconds: float) -> str:
    """`12 s`, `3 h`: in the largest unit that fits, rounded down."""
    for length, unit in _SPANS:
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return "0 s"


def ago(seconds: float) -> str:
    """`12 s ago`, `3 h ago`; `now` for less than a second."""
    return f"{span(seconds)} ago" if seconds >= 1 else "now"


def last_seen(age_s: float | None) -> str:
    """When the last packet came: `just now`, `12 s ago`, and `never` where there is none."""
    if age_s is None:
        return "never"
    return ago(age_s) if age_s >= 1 else "just now"


def amount(count: int) -> str:
    """`9,999`, `12 k`, `1.2 M`: exact as long as it is short, then rounded down."""
    if count < _EXACT:
        return f"{count:,}"
    steps = min(len(f"{count:,}".split(",")) - 1, len(_THOUSANDS) - 1)
    whole, tenths = divmod(count * 10 // 1000**steps, 10)
    return f"{whole:,}{f'.{tenths}' if whole < _TWO_DIGITS else ''} {_THOUSANDS[steps]}"


def size(count_bytes: int) -> str:
    """`512 B`, `1.5 MiB`, `37 GiB`."""
    amount, steps = float(count_bytes), 0
    while amount >= _STEP and steps < len(_UNITS) - 1:
        amount, steps = amount / _STEP, steps + 1
    digits = 1 if steps and amount < _TWO_DIGITS else 0
    return f"{amount:.{digits}f} {_UNITS[steps]}"
