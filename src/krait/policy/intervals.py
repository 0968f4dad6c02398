# SPDX-License-Identifier: Apache-2.0
"""What one identity may open to another, as the kernel asks it: sorted intervals.

The space is protocol:8 | port:16, so that a whole protocol, or all of them, is one interval.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

from krait.policy.model import Action, PortSpan, Rule

SPACE_END = 0xFF_FFFF


@dataclass(frozen=True, slots=True)
class Interval:
    """An inclusive range of tuples with one decision; `rule` is the rule's number in the file."""

    low: int
    high: int
    allows: bool
    rule: int


@dataclass(frozen=True, slots=True)
class Direction:
    """What opens in one direction of a pair; what no interval holds is denied by default.

    `uniform` is the one decision (allows, rule) for every tuple where no rule with ports concerns
    the direction, else None.
    """

    intervals: tuple[Interval, ...]
    uniform: tuple[bool, int] | None

    @property
    def opens_nothing(self) -> bool:
        """Both directions so: the pair is denied with no look at ports."""
        return not any(each.allows for each in self.intervals)


def direction(rules: Sequence[Rule], *, default: Action) -> Direction:
    """Decide every tuple, given the rules that concern the direction, in the order of the file.

    The strongest decides (model.Rule.strength), else the default.
    """
    enforced = [rule for rule in rules if not rule.audit]
    by_strength = sorted(enforced, key=attrgetter("strength"))
    if not any(rule.ports for rule in enforced):
        rule = next(iter(by_strength), None)
        allows, number = (rule.allows, rule.number) if rule else (default.allows, 0)
        whole = (Interval(0, SPACE_END, allows, number),) if allows or number else ()
        return Direction(whole, (allows, number))
    canvas = _Canvas()
    for rule in by_strength:
        for low, high in _spans(rule.ports):
            canvas.paint(Interval(low, high, rule.allows, rule.number))
    if default.allows:
        canvas.paint(Interval(0, SPACE_END, allows=True, rule=0))
    return Direction(tuple(_merged(canvas.intervals)), None)


def touching(intervals: Sequence[Interval], ports: tuple[PortSpan, ...]) -> Iterator[Interval]:
    """Those that hold some of these ports; without any, all. `intervals` are as a direction's."""
    for low, high in _spans(ports):
        at = bisect_left(intervals, low, key=lambda each: each.high)
        while at < len(intervals) and intervals[at].low <= high:
            yield intervals[at]
            at += 1


def _spans(ports: tuple[PortSpan, ...]) -> Iterable[tuple[int, int]]:
    if not ports:
        return ((0, SPACE_END),)
    return ((s.protocol << 16 | s.low, s.protocol << 16 | s.high) for s in ports)


class _Canvas:
    """Disjoint intervals in order; paint sticks only where none was before."""

    def __init__(self) -> None:
        self.intervals: list[Interval] = []

    def paint(self, new: Interval) -> None:
        start = bisect_right(self.intervals, new.low, key=lambda each: each.high + 1)
        at, end, fresh = new.low, start, []
        while at <= new.high:
            next_painted = self.intervals[end] if end < len(self.intervals) else None
            if next_painted is None or next_painted.low > new.high:
                fresh.append(Interval(at, new.high, new.allows, new.rule))
                break
            if at < next_painted.low:
                fresh.append(Interval(at, next_painted.low - 1, new.allows, new.rule))
            fresh.append(next_painted)
            at, end = next_painted.high + 1, end + 1
        self.intervals[start:end] = fresh


def _merged(intervals: Iterable[Interval]) -> list[Interval]:
    merged: list[Interval] = []
    for each in intervals:
        last = merged[-1] if merged else None
        if last and (last.high + 1, last.allows, last.rule) == (each.low, each.allows, each.rule):
            merged[-1] = Interval(last.low, each.high, last.allows, last.rule)
        else:
            merged.append(each)
    return merged
