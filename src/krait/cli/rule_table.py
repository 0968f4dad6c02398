# SPDX-License-Identifier: Apache-2.0
"""What each rule decided, for people and for programs (docs/cli.md has the keys)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from krait.agent.tally import Counted, Tally
from krait.cli import output
from krait.cli.amounts import amount, last_seen, size
from krait.cli.inspection import outcomes, short
from krait.cli.output import Json, Style, paint
from krait.common.words import printable
from krait.kernel.generation import Count, Moment
from krait.policy import lifetime
from krait.policy.idle import Idle, Why
from krait.policy.model import Action
from krait.policy.rules import DEFAULT_RULE

_HEAD = ("rule", "action", "packets", "bytes", "last hit")
_NUMBERS = (2, 3)  # the columns that are aligned on the right
_GAP = "  "
_ACTIONS: Mapping[str, Style] = MappingProxyType(
    {Action.ALLOW: Style.GREEN, Action.DENY: Style.RED, Action.REJECT: Style.RED}
)


class Row(NamedTuple):
    """A line of the table, and what is said of it below."""

    cells: tuple[str, str, str, str, str]
    remark: str = ""
    faint: bool = False  # nothing was counted


def show(found: Tally, *, unused: bool = False) -> None:
    """Print it, at most `output.WIDTH` columns wide; with `unused` only rules that are."""
    output.line(printable(f"{found.interface}: revision {found.revision}, {found.document.source}"))
    for text in draw(list(_rows(found, unused=unused))):
        output.line(text)


def report(found: Tally, *, unused: bool = False) -> Json:
    """The same for programs; keys are only ever added."""
    default = found.document.policy.default
    return {
        "interface": found.interface,
        "document": found.document.source,
        "revision": found.revision,
        "rules": [_report(each, found.now) for each in _chosen(found, unused=unused)],
        "default": {"action": default, **_figures(found.default, found.now)},
        "unused": sum(each.is_unused for each in found.rules),
    }


def draw(rows: Sequence[Row]) -> Iterator[str]:
    """The lines of the table: its head, and each row with its remark below, painted."""
    table = [_HEAD, *(row.cells for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    yield paint(_aligned(_HEAD, widths), Style.DIM)
    for row in rows:
        text = _aligned(row.cells, widths)
        yield paint(text, Style.DIM) if row.faint else _coloured(text, row, widths)
        for piece in output.pieces(row.remark, output.WIDTH - 4):
            yield paint(f"    {piece}", Style.YELLOW)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return _GAP.join(
        cell.rjust(width) if at in _NUMBERS else cell.ljust(width)
        for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ).rstrip()


def _coloured(text: str, row: Row, widths: Sequence[int]) -> str:
    """The word of the action alone has a colour."""
    word, at = row.cells[1], widths[0] + len(_GAP)
    if word not in _ACTIONS:
        return text
    return f"{text[:at]}{paint(word, _ACTIONS[word])}{text[at + len(word) :]}"


def _rows(found: Tally, *, unused: bool) -> Iterator[Row]:
    for each in _chosen(found, unused=unused):
        yield _row(each, found.now)
    if not unused:
        action = found.document.policy.default
        told = _told(found.default, found.now)
        yield Row((DEFAULT_RULE, action, *told), faint=not found.default.packets)


def _row(each: Counted, now: Moment) -> Row:
    name, action, count = short(each.rule.name), _action(each), each.count
    if each.rehearsed is not None:
        told_of = outcomes(each.rehearsed)
        remark = "; ".join(filter(None, (_remark(each), told_of)))
        return Row((name, action, "-", "-", "rehearsed"), remark, faint=not told_of)
    if count is None:
        where = "not rehearsed" if each.rule.audit else "not here"
        where = "ended" if each.has_ended else where
        return Row((name, action, "-", "-", where), _remark(each), faint=True)
    told = _told(count, now)
    return Row((name, action, *told), _remark(each), faint=not count.packets)


def _told(count: Count, now: Moment) -> tuple[str, str, str]:
    return amount(count.packets), size(count.bytes), last_seen(count.age_s(now))


def _chosen(found: Tally, *, unused: bool) -> Iterable[Counted]:
    return (each for each in found.rules if each.is_unused or not unused)


def _action(each: Counted) -> str:
    word = each.rule.action
    return f"audit {word}" if each.rule.audit else word


def _remark(each: Counted) -> str:
    until = each.rule.until
    end = "" if until is None else f"until {lifetime.written(until)}"
    return "; ".join(filter(None, (end, _idleness(each.idle))))


def _idleness(idle: Idle | None) -> str:
    match idle.why if idle else None:
        case Why.NOBODY:
            return "never decides: no two on different nodes are its two sides"
        case Why.SHADOWED:
            return f"never decides: covered by {idle.coverers if idle else ''}"
        case Why.REPEATED:
            return f"never decides: repeats {idle.coverers if idle else ''}"
    return ""


def _report(each: Counted, now: Moment) -> Json:
    figures = _figures(each.count, now) if each.count else None
    return {
        "name": each.rule.name,
        "line": each.rule.mark.line,
        "action": each.rule.action,
        "audit": each.rule.audit,
        "ended": each.has_ended,
        "until": None if each.rule.until is None else lifetime.written(each.rule.until),
        "here": each.count is not None,
        **(figures or {"packets": None, "bytes": None, "age_s": None}),
        "unused": each.is_unused,
        "idle": each.idle.why.value if each.idle else None,
        "covering": [rule.name for rule in each.idle.covering] if each.idle else [],
        "rehearsed": {
            outcome.name.lower(): _figures(count, now) for outcome, count in each.rehearsed.items()
        }
        if each.rehearsed is not None
        else None,
    }


def _figures(count: Count, now: Moment) -> dict[str, Json]:
    return {"packets": count.packets, "bytes": count.bytes, "age_s": count.age_s(now)}
