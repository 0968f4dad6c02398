# SPDX-License-Identifier: Apache-2.0
"""An inspected interface, for people."""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from krait.agent import inspect
from krait.agent.inspect import Condition, Inspection, PeerSeen, condition
from krait.agent.state import Live
from krait.cli import guarded, output
from krait.cli.amounts import ago, last_seen, size
from krait.cli.output import Style, paint
from krait.common.abi import Rehearsal, RejectionOutcome
from krait.common.reason import EXPLANATIONS
from krait.common.words import plural, printable
from krait.kernel.generation import NO_TIME, Count
from krait.kernel.hook import Hook

T = TypeVar("T")

_STYLES = {
    Condition.ENFORCING: Style.GREEN,
    Condition.DEGRADED: Style.YELLOW,
    Condition.WAITING: Style.YELLOW,
    Condition.BARE: Style.RED,
}
_NAME_CHARACTERS = 24
_INDENT = "  "
_NAMELESS = "?"
_UNBROKEN = "\N{NO-BREAK SPACE}"


def enforces(found: Inspection) -> bool:
    """Whether no packet passes this interface unjudged.

    A filter is on both hooks, be it behind another's; or there is no interface, and nothing will
    pass the one that comes.
    """
    if found.link is None:
        return condition(found)[0] is not Condition.BARE
    return all(inspect.is_attached(found, hook) for hook in Hook)


def show(found: Inspection, now_s: float) -> None:
    """Print it, at most `output.WIDTH` columns wide; `now_s` is the wall clock."""
    word, why = condition(found)
    style = _STYLES[word] if enforces(found) else Style.RED
    output.line(f"{found.interface}: {paint(word, style, Style.BOLD)}")
    if why:
        output.table([(printable(why),)], indent=_INDENT)
    output.table(list(_facts(found, now_s)), indent=_INDENT)
    _section("peers", list(_peers(found, now_s)))
    _section("rules", _rule_rows(found))
    _section(_shadow_title(found), _shadow_rows(found))
    _section("rejections", _rejection_rows(found))
    _section("dropped", _drop_rows(found))
    _section("dropped by the guard", guarded.rows(found.guard))


def _facts(found: Inspection, now_s: float) -> Iterator[tuple[str, str]]:
    if found.namespace:
        yield "namespace", printable(found.namespace)
    yield "policy", _policy(found, now_s)
    if found.record and found.record.source:
        yield "document", printable(found.record.source)
    yield from _made(found)
    yield "agent", _agent(found)
    if filters := _filters(found):
        yield "filter", filters
    if found.guard is not None:
        yield "guard", guarded.where(found.guard)
    if found.device is not None:
        userspace = "in userspace, slower than the kernel's"
        yield "wireguard", userspace if found.device.userspace else "in the kernel"
    if found.unseen is not None:
        yield "wireguard", f"not seen, nor its peers: {printable(found.unseen.message)}"
        yield "", f"hint: {printable(found.unseen.hint)}"
    if found.live is not None:
        yield from _own_words(found.live, now_s)


def _made(found: Inspection) -> Iterator[tuple[str, str]]:
    orders, trial = found.standing.orders, found.standing.trial
    if orders is not None:
        node = found.live.node if found.live else ""
        yield "made by", printable(f"krait up{node and f', as {node}'}, from {orders.config}")
    if trial is not None:
        left_s = trial.left_s()
        when = f"goes back in {left_s:.0f} s" if left_s > 0 else "over, and goes back"
        yield "on trial", f"{when}, unless: krait confirm {found.interface}"


def _own_words(live: Live, now_s: float) -> Iterator[tuple[str, str]]:
    for fault in live.faults:
        first, _, others = fault.message.partition("\n")  # a document has a line for each problem
        yield "error", f"{printable(first)} ({ago(now_s - fault.since_s)})"
        yield from (("", printable(each)) for each in others.splitlines())
        if fault.hint:
            yield "", f"hint: {printable(fault.hint)}"
    for warning in live.warnings:
        yield "warning", printable(warning)
    if live.withheld:
        prefixes = printable(", ".join(live.withheld))
        yield "withheld", f"{prefixes}: just moved from one peer to another"


def _policy(found: Inspection, now_s: float) -> str:
    if found.tables is None or not found.tables.revision:
        return "none was committed"
    revision = f"revision {found.tables.revision}{'' if _runs(found) else ' (not attached)'}"
    if found.record is None:
        return f"{revision}; what was written down is of another, so its numbers have no names"
    when_s = found.record.committed_s
    stamp = datetime.fromtimestamp(when_s, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return f"{revision}, committed {stamp} ({ago(now_s - when_s)})"


def _agent(found: Inspection) -> str:
    if found.pid is None:
        return "none alive" + ("; what is in force stays in force" if _runs(found) else "")
    return f"alive, pid {found.pid or 'unknown'}"


def _runs(found: Inspection) -> bool:
    """Whether a filter of ours judges anything: pinned tables alone judge nothing."""
    return found.elsewhere or any(inspect.is_attached(found, hook) for hook in Hook)


def _filters(found: Inspection) -> str:
    return "; ".join(
        f"{hook.value}: {seat.kind.value}, {'not first' if seat.ahead else 'first'}"
        for hook, seats in found.seats.items()
        for seat in seats
    )


def _section(title: str, rows: Sequence[tuple[str, str]]) -> None:
    if rows:
        output.line(f"{_INDENT}{paint(title, Style.BOLD)}")
        output.table(rows, indent=2 * _INDENT)


def _peers(found: Inspection, now_s: float) -> Iterator[tuple[str, str]]:
    seen = inspect.peers(found)
    names = [short(each.name or _NAMELESS) for each in seen]
    columns = output.WIDTH - 3 * len(_INDENT) - max(map(len, names), default=0)
    for name, each in zip(names, seen, strict=True):
        yield name, _who(found, each)
        if each.name is None:
            yield "", b64encode(each.peer.public_key).decode()
        yield from (("", line) for line in _filled(_traffic(each, now_s), columns))


def _who(found: Inspection, seen: PeerSeen) -> str:
    if seen.name is not None:
        number = f" (identity {seen.identity})" if seen.identity is not None else ""
        return f"{printable(', '.join(seen.tags)) or 'no tags'}{number}"
    if found.record is None:
        return "its name is not known"
    return "not in the document" + ("; nothing passes" if enforces(found) else "")


def _traffic(seen: PeerSeen, now_s: float) -> list[str]:
    peer, handshake = seen.peer, seen.peer.latest_handshake_s
    return [
        peer.endpoint or "no endpoint",
        f"handshake {ago(now_s - handshake)}" if handshake else "no handshake",
        f"{size(peer.rx_bytes)} in",
        f"{size(peer.tx_bytes)} out",
        *([f"{seen.dropped.packets:,} dropped"] if seen.dropped else []),
    ]


def _filled(items: Sequence[str], columns: int) -> list[str]:
    """Items in lines of so many columns, broken between items and never inside one."""
    text = ", ".join(each.replace(" ", _UNBROKEN) for each in items)
    return [each.replace(_UNBROKEN, " ") for each in output.pieces(text, columns)]


def _rule_rows(found: Inspection) -> list[tuple[str, str]]:
    counted = {name: count for name, count in inspect.rules(found).items() if count.packets}
    return [(short(name), _times(count, found)) for name, count in _most(counted)]


def _shadow_title(found: Inspection) -> str:
    shadow = found.record.shadow if found.record else ""
    return printable(f"rehearsed, of {shadow}") if shadow else "rehearsed"


def _shadow_rows(found: Inspection) -> list[tuple[str, str]]:
    """What would have become of packets."""
    told = {name: outcomes(each) for name, each in inspect.rehearsed(found).items()}
    return [(short(name), text) for name, text in told.items() if text]


def outcomes(each: Mapping[Rehearsal, Count]) -> str:
    """What would have become of packets, in words; empty where there were none."""
    cuts, opens = each[Rehearsal.CUTS].packets, each[Rehearsal.OPENS].packets
    told = [f"would drop {plural(cuts, 'packet')} that passed"] if cuts else []
    told += [f"would let pass {plural(opens, 'packet')} that dropped"] if opens else []
    if same := each[Rehearsal.SAME].packets:
        told.append(f"agrees on {plural(same, 'packet')}")
    return ", ".join(told)


_OUTCOMES = {
    RejectionOutcome.SENT: "whose senders were told",
    RejectionOutcome.LIMITED: "whose senders had been told often enough",
    RejectionOutcome.SILENT: "that nothing is said about",
    RejectionOutcome.FAILED: "whose senders could not be told, for the kernel had no room",
}


def _rejection_rows(found: Inspection) -> list[tuple[str, str]]:
    counts = found.tables.rejections if found.tables else {}
    return [
        (each.name.lower(), f"{_times(counts[each], found)}: {meaning}")
        for each, meaning in _OUTCOMES.items()
        if each in counts and counts[each].packets
    ]


def _drop_rows(found: Inspection) -> list[tuple[str, str]]:
    drops = found.tables.drops if found.tables else {}
    return [
        (reason.label, f"{_times(count, found)}: {EXPLANATIONS[reason].meaning}")
        for reason, count in _most(drops)
    ]


def _times(count: Count, found: Inspection) -> str:
    now = found.tables.now if found.tables else NO_TIME
    return f"{plural(count.packets, 'packet')}, {last_seen(count.age_s(now))}"


def _most(counts: Mapping[T, Count]) -> list[tuple[T, Count]]:
    """The largest first."""
    return sorted(counts.items(), key=lambda each: -each[1].packets)


def short(name: str) -> str:
    """A name from wherever, cut to what a column takes."""
    return printable(name if len(name) <= _NAME_CHARACTERS else f"{name[: _NAME_CHARACTERS - 1]}…")
