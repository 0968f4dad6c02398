# SPDX-License-Identifier: Apache-2.0
"""Many pairs told as few sentences: each of these with each of those."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from itertools import product
from typing import TypeAlias

Rectangle: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
"""Each of the first with each of the second; both in order."""


def rectangles(pairs: Iterable[tuple[int, int]]) -> list[Rectangle]:
    """Ordered pairs as rectangles that hold each of them once, and nothing else.

    Rows that are alike are one rectangle, or columns that are: whichever are fewer.
    """
    known = list(pairs)
    by_row = _joined(_rows(known))
    by_column = [(rows, columns) for columns, rows in _joined(_rows((b, a) for a, b in known))]
    return min(by_row, by_column, key=len)


def unordered(pairs: Iterable[tuple[int, int]]) -> list[Rectangle]:
    """The same for pairs without an order: each is in one rectangle at least, either way round."""
    both_ways = {way for a, b in pairs for way in ((a, b), (b, a))}
    found, told = [], set[tuple[int, int]]()
    for some, others in _joined(_rows(sorted(both_ways))):
        ways = set(product(some, others))
        if not ways <= told:
            told |= ways | {(b, a) for a, b in ways}
            found.append((some, others))
    return found


def _rows(pairs: Iterable[tuple[int, int]]) -> Mapping[int, Set[int]]:
    rows: dict[int, set[int]] = defaultdict(set)
    for a, b in pairs:
        rows[a].add(b)
    return rows


def _joined(rows: Mapping[int, Set[int]]) -> list[Rectangle]:
    found: dict[frozenset[int], list[int]] = defaultdict(list)
    for row, columns in rows.items():
        found[frozenset(columns)].append(row)
    return [(tuple(sorted(some)), tuple(sorted(columns))) for columns, some in found.items()]
