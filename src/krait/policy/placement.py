# SPDX-License-Identifier: Apache-2.0
"""Where port lists lie in the table that both slots share."""

from collections.abc import Iterable, Mapping

from krait.common.errors import KraitError
from krait.policy.pairing import PortList


class NoRoom(KraitError):
    """The lists in force and the new ones do not fit beside each other; a larger table is due."""


def place(
    lists: Iterable[PortList], held: Mapping[PortList, int], capacity: int
) -> dict[PortList, int]:
    """An offset for each list, in the first gap that takes it.

    `held` lists are in force: one that is wanted again keeps its place, and none is overwritten.
    """
    wanted = list(lists)
    placed = {each: held[each] for each in wanted if each in held}
    taken = sorted((offset, offset + len(each)) for each, offset in held.items())
    gaps = _gaps(taken, capacity)
    for each in sorted((each for each in wanted if each not in held), key=len, reverse=True):
        for i, (start, end) in enumerate(gaps):
            if end - start >= len(each):
                placed[each] = start
                gaps[i] = (start + len(each), end)
                break
        else:
            raise NoRoom(f"{capacity} port intervals do not hold the old and the new policy")
    return placed


def _gaps(taken: Iterable[tuple[int, int]], capacity: int) -> list[tuple[int, int]]:
    gaps, at = [], 0
    for start, end in taken:
        gaps.append((at, start))
        at = end
    return [*gaps, (at, capacity)]
