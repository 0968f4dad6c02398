# SPDX-License-Identifier: Apache-2.0
"""What another document would change, for people."""

from collections.abc import Iterable, Iterator, Sequence

from krait.agent.foresight import Cut, Cuts, Foresight
from krait.cli import flow_words, output
from krait.cli.amounts import last_seen
from krait.cli.output import Style, paint
from krait.common.abi import PairClass
from krait.common.words import plural, printable
from krait.policy import flow as flows
from krait.policy import ports
from krait.policy.compare import ClassChange, Comparison, Row, Without
from krait.policy.explain import words
from krait.policy.identities import in_words
from krait.policy.model import PortSpan, Rule
from krait.policy.parties import Parties
from krait.policy.settings import NodeChange

_NAMED = 5
_LISTED = 40
_SIGNS = {True: ("+", Style.GREEN), False: ("-", Style.RED)}
_FREE = PairClass.ALLOW_STATELESS
_REMEMBERED = {
    (_FREE, PairClass.STATEFUL): (
        "stateful",
        "from then on flows are remembered: UDP replies drop until their opener sends again",
    ),
    (PairClass.STATEFUL, _FREE): (
        "stateless",
        "from then on everything may pass both ways, and no flow is remembered",
    ),
}


def changes(comparison: Comparison, cuts: Cuts | None) -> bool:
    """Whether anything is different for anybody's packets."""
    return not comparison.is_empty or bool(cuts and cuts.total)


def show(comparison: Comparison, seen: Foresight | None) -> None:
    """Print it, at most `output.WIDTH` columns wide; `seen`: None where none was asked."""
    cuts = seen.cuts if seen else None
    if not changes(comparison, cuts):
        output.line("nothing changes: every packet is judged as it is now")
        return
    parties = Parties(comparison.everyone)
    _many(list(_nodes(comparison)))
    _many([_row(row, parties, comparison) for row in comparison.rows])
    for change in comparison.classes:
        _class(change, parties)
    if seen is not None:
        _flows(comparison, seen)
    output.line(f"summary: {', '.join(_summary(comparison, cuts))}")


def _nodes(comparison: Comparison) -> Iterator[list[str]]:
    settings = comparison.settings
    for opens, some in ((True, settings.came), (False, settings.went)):
        for node in some:
            yield _painted(opens, f"node {node.name} ({in_words(node.tags)})")
    for change in settings.changed:
        yield [*output.pieces(f"~ node {_changed(change)}", output.WIDTH, indent="    ")]
    if settings.other:
        yield [f"~ {', '.join(settings.other)}"]


def _changed(change: NodeChange) -> str:
    said = [key for key in change.fields if key != "tags"]
    if "tags" in change.fields:
        said.insert(0, f"tags {in_words(change.now)} (were {in_words(change.before)})")
    return f"{change.name}: {', '.join(said)}"


def _row(row: Row, parties: Parties, comparison: Comparison) -> list[str]:
    rules = rules_of(row)
    sources = parties.senders.names(row.sources, rules)
    ends = map(_short, (sources, parties.names(row.destinations, rules)))
    what = ", ".join(_what(row.spans, comparison.opens))
    reason = output.pieces(f"    {_reason(row)}", output.WIDTH, indent="    ")
    return [*_painted(row.opens, f"{' to '.join(ends)}: {what}"), *reason]


def _painted(opens: bool, text: str) -> list[str]:
    sign, style = _SIGNS[opens]
    return [
        paint(each, style) for each in output.pieces(f"{sign} {text}", output.WIDTH, indent="    ")
    ]


def _what(spans: Sequence[PortSpan], every: Sequence[PortSpan]) -> tuple[str, ...]:
    """Protocols and ports; nearly all of them by what is not among them."""
    if tuple(spans) == tuple(every):
        return ("everything",)
    found = words(spans)
    if spans[-1].protocol != ports.OTHER_PROTOCOL:
        return found
    missing = words(_without(every, spans))
    return (f"everything but {', '.join(missing)}",) if len(missing) < len(found) else found


def _without(every: Iterable[PortSpan], spans: Sequence[PortSpan]) -> Iterator[PortSpan]:
    for whole in every:
        at = whole.low
        for span in spans:
            if span.protocol == whole.protocol:
                if span.low > at:
                    yield PortSpan(whole.protocol, at, span.low - 1)
                at = span.high + 1
        if at <= whole.high:
            yield PortSpan(whole.protocol, at, whole.high)


def _reason(row: Row) -> str:
    """What decides from then on, and what did before if that is worth a word."""
    match row.now:
        case Rule() as rule:
            now = f"{_rule(rule)} {'allows' if row.opens else 'denies'}"
        case Without.ABSENT:
            now = "one of the two is not there any more"
        case _ if row.opens:
            now = "no rule matches, and the default allows"
        case _:
            now = "no rule allows it any more"
    deciders = [each for each in row.before if isinstance(each, Rule)]
    past = "denied" if row.opens else "allowed"
    said = [_rule(each) for each in deciders[:_NAMED]]
    if Without.DEFAULT in row.before and not row.opens:
        said.append("the default")
    if len(deciders) > _NAMED:
        said.append(f"{plural(len(deciders) - _NAMED, 'rule')} more")
    return f"{now}; before, {' and '.join(said)} {past}" if said else now


def _rule(rule: Rule) -> str:
    return f'rule "{rule.name}" in line {rule.mark.line}'


def rules_of(row: Row) -> list[Rule]:
    """Those that decide, or did; who else they name may be named by them."""
    return [each for each in (row.now, *row.before) if isinstance(each, Rule)]


def _class(change: ClassChange, parties: Parties) -> None:
    """Pairs that open or close anyway are told by that."""
    told = _REMEMBERED.get((change.before, change.now))
    if told is not None:
        title, meaning = told
        pair = " with ".join(_short(parties.names(each)) for each in (change.some, change.others))
        _paragraph(f"{title}: {pair}")
        _paragraph(f"    {meaning}")


def _flows(comparison: Comparison, seen: Foresight) -> None:
    if seen.cuts is None:
        _paragraph(f"flows: not looked at: {printable(seen.unseen)}")
        return
    if seen.cuts.total:
        output.line(f"flows cut: {seen.cuts.total:,}")
        rows = [
            (f"{count:,}", " to ".join(map(in_words, pair)))
            for pair, count in list(seen.cuts.pairs.items())[:_LISTED]
        ]
        output.table(rows, indent="    ")
        if seen.cuts.reopening:
            some = f"{seen.cuts.reopening:,} of them"
            _paragraph(f"    {some} until the other side sends: it may open them anew")
        for cut in seen.cuts.longest:
            _paragraph(f"  {_cut(cut)}")
    if any(each.before == _FREE and each.now != _FREE for each in comparison.classes):
        _paragraph(
            "flows: what passes today between pairs that may do everything is not remembered, and "
            "so not counted"
        )


def _cut(cut: Cut) -> str:
    flow = cut.flow
    ends = " to ".join(flow_words.ends(flow.opener))
    names = " to ".join(
        end.name for end in (cut.before.source, cut.before.destination) if end is not None
    )
    word = flow_words.protocol(flow.opener)
    until = ", until the other side sends" if cut.reopens else ""
    return f"{word} {ends} ({names}), {flows.label(flow.state)}, {last_seen(flow.age_s)}{until}"


def _summary(comparison: Comparison, cuts: Cuts | None) -> Iterator[str]:
    settings = comparison.settings
    for count, verb in ((comparison.opening, "open"), (comparison.closing, "close")):
        yield f"{plural(count, 'pair')} {verb}{'s' if count == 1 else ''}"
    touched = len(settings.came) + len(settings.went) + len(settings.changed)
    if touched:
        yield f"{plural(touched, 'node')} {'differs' if touched == 1 else 'differ'}"
    if cuts is not None:
        yield f"{plural(cuts.total, 'flow')} cut"


def _many(entries: list[list[str]]) -> None:
    for entry in entries[:_LISTED]:
        for each in entry:
            output.line(each)
    if len(entries) > _LISTED:
        output.line(f"  and {len(entries) - _LISTED:,} more; --json has them all")


def _paragraph(text: str) -> None:
    indent = " " * (len(text) - len(text.lstrip()) or 4)
    for each in output.pieces(text, output.WIDTH, indent=indent):
        output.line(each)


def _short(names: Sequence[str]) -> str:
    more = [f"{len(names) - _NAMED:,} more"] if len(names) > _NAMED else []
    return ", ".join([*names[:_NAMED], *more])
