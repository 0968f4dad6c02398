# SPDX-License-Identifier: Apache-2.0
"""Live flows, for people and for programs (docs/cli.md has the keys)."""

from collections.abc import Iterator
from heapq import nsmallest

from krait.agent.live_flows import Flows, Seen
from krait.cli import flow_words, output
from krait.cli.amounts import last_seen, span
from krait.cli.output import Json, Style, paint
from krait.common.words import plural, printable
from krait.policy.flow import label
from krait.policy.rules import DEFAULT_RULE

LISTED = 40
_INDENT = "    "


def show(flows: Flows) -> int:
    """Print those that spoke last, at most `output.WIDTH` columns wide. Returns how many."""
    total = denied = stale = 0

    def counted() -> Iterator[Seen]:
        nonlocal total, denied, stale
        for each in flows.seen:
            total, stale = total + 1, stale + each.is_stale
            denied += not each.is_stale and not each.flow.allowed
            yield each

    latest = nsmallest(LISTED, counted(), key=lambda each: each.flow.age_s)
    for each in latest:
        _entry(each)
    if total > len(latest):
        output.line(f"and {total - len(latest):,} more; --json has them all")
    said = [plural(total, "live flow")]
    said += [f"{denied:,} denied"] if denied else []
    said += [f"{stale:,} to be judged anew"] if stale else []
    output.line(f"summary: {', '.join(said)}")
    return total


def report(flows: Flows) -> int:
    """Print all for programs, as they come; keys are only ever added. Returns how many."""
    total = 0

    def counted() -> Iterator[Json]:
        nonlocal total
        for each in flows.seen:
            total += 1
            yield _report(each)

    head: dict[str, Json] = {"interface": flows.interface, "revision": flows.revision}
    output.stream(head, "flows", counted())
    return total


def _entry(seen: Seen) -> None:
    opener = seen.flow.opener
    source, destination = flow_words.ends(opener)
    ends = f"{_end(seen.opener, source)} to {_end(seen.other, destination)}"
    for piece in output.pieces(
        f"{flow_words.protocol(opener)} {ends}", output.WIDTH, indent=_INDENT
    ):
        output.line(piece)
    verdict, style = _verdict(seen)
    flow = seen.flow
    facts = [label(flow.state), last_seen(flow.age_s), f"{span(max(flow.left_s, 0))} left"]
    text = ", ".join([verdict, *facts])
    for piece in output.pieces(f"{_INDENT}{text}", output.WIDTH, indent=_INDENT):
        output.line(piece.replace(verdict, paint(verdict, *style), 1) if style else piece)


def _verdict(seen: Seen) -> tuple[str, tuple[Style, ...]]:
    """What decided, and its colour."""
    if seen.is_stale:
        return "to be judged anew", (Style.YELLOW,)
    if seen.rule == DEFAULT_RULE:
        rule = "the default"
    else:
        rule = f'rule "{printable(seen.rule)}"' if seen.rule is not None else "a rule of no name"
    return (f"by {rule}", ()) if seen.flow.allowed else (f"denied by {rule}", (Style.RED,))


def _end(name: str | None, address: str) -> str:
    return f"{printable(name)} ({address})" if name is not None else address


def _report(seen: Seen) -> Json:
    flow, opener = seen.flow, seen.flow.opener
    (source, source_port), (destination, port) = opener.source, opener.destination
    return {
        "protocol": opener.protocol,
        "from": seen.opener,
        "source": str(source),
        "source_port": source_port,
        "to": seen.other,
        "destination": str(destination),
        "destination_port": port,
        "state": label(flow.state),
        "age_s": flow.age_s,
        "left_s": max(flow.left_s, 0),
        "allowed": flow.allowed,
        "stale": seen.is_stale,
        "rule": seen.rule,
        "revision": flow.revision,
    }
