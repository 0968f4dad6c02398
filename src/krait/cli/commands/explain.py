# SPDX-License-Identifier: Apache-2.0
"""`krait explain FILE FROM TO [PORT]`: may it, and which rule says so?"""

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from krait.cli import output
from krait.cli.files import load_document
from krait.cli.output import Json, Style, paint
from krait.common.errors import ExitCode
from krait.policy import lifetime
from krait.policy.explain import Explanation, Row, Verdict, explain
from krait.policy.model import Rule
from krait.policy.owners import Owner

_STYLES = {
    Verdict.ALLOWED: Style.GREEN,
    Verdict.DENIED: Style.RED,
    Verdict.MIXED: Style.YELLOW,
}
_PORTS_COLUMNS = 32
_INDENT = "  "
_BELOW = "      "


def configure(parser: ArgumentParser) -> None:
    """Without a port, the answer is for all of them."""
    parser.add_argument("file", metavar="FILE", help="the policy document; - is standard input")
    parser.add_argument(
        "source", metavar="FROM", help="a node's name, an address or a subnet: who opens"
    )
    parser.add_argument(
        "destination", metavar="TO", help="a node's name, an address or a subnet: to whom"
    )
    parser.add_argument(
        "port", metavar="PORT", nargs="?", help="such as tcp/5432, icmp or @web; all, if left out"
    )
    output.json_option(parser)


def run(options: Namespace) -> int:
    """0: allowed; 1: denied, or allowed for only a part of what was asked."""
    document = lifetime.at(load_document(options.file), time.time())
    answer = explain(document, options.source, options.destination, options.port)
    if options.json:
        output.document(_report(answer))
    else:
        _print(answer, options.port)
    return ExitCode.OK if answer.verdict is Verdict.ALLOWED else ExitCode.NO


def _print(answer: Explanation, port: str | None) -> None:
    verdict = answer.verdict
    asked = f", {port}" if port else ""
    text = f"{answer.source.name} to {answer.destination.name}{asked}: {verdict}"
    *lines, last = output.pieces(text, output.WIDTH, indent=_INDENT)
    painted = paint(verdict, _STYLES[verdict], Style.BOLD)
    for each in (*lines, f"{last.removesuffix(verdict)}{painted}"):
        output.line(each)
    _print_rows(answer)
    _list("also matches", [rule for row in answer.rows for rule in row.decision.others])
    _list("audit only", [rule for row in answer.rows for rule in row.decision.audit])


def _print_rows(answer: Explanation) -> None:
    """A table, or where a rule's name has no room in it, each reason below its row."""
    rows = [list(_cells(row)) for row in answer.rows]
    ports = max(len(each) for cells in rows for _, each in cells)
    room = output.WIDTH - len(f"{_INDENT}{Verdict.ALLOWED}{_INDENT}{_INDENT}") - ports
    reasons = [answer.reason(row.decision) for row in answer.rows]
    if all(len(word) <= room for reason in reasons for word in reason.split()):
        table = [
            (*cells, reason if place == 0 else "")
            for each, reason in zip(rows, reasons, strict=True)
            for place, cells in enumerate(each)
        ]
        output.table(table, indent=_INDENT)
        return
    for cells, reason in zip(rows, reasons, strict=True):
        output.table(cells, indent=_INDENT)
        for each in output.pieces(f"{_BELOW}{reason}", output.WIDTH, indent=_BELOW):
            output.line(each)


def _cells(row: Row) -> Iterator[tuple[str, str]]:
    """A long list of ports goes on below, so that the reason keeps its room."""
    verdict = _verdict(row)
    first, *more = output.pieces(", ".join(row.what), _PORTS_COLUMNS)
    yield paint(verdict, _STYLES[verdict]), first
    yield from (("", each) for each in more)


def _list(title: str, rules: list[Rule]) -> None:
    for rule in dict.fromkeys(rules):
        action = rule.action
        text = f'{title}: rule "{rule.name}" in line {rule.mark.line} ({action})'
        for each in output.pieces(text, output.WIDTH, indent=_INDENT):
            output.line(each)


def _verdict(row: Row) -> Verdict:
    return Verdict.ALLOWED if row.decision.allows else Verdict.DENIED


def _report(answer: Explanation) -> Json:
    return {
        "verdict": answer.verdict,
        "from": _owner(answer.source),
        "to": _owner(answer.destination),
        "rows": [
            {
                "what": row.what,
                "verdict": _verdict(row),
                "reason": answer.reason(row.decision),
                "rule": _rule(row.decision.rule),
                "others": [_rule(rule) for rule in row.decision.others],
                "audit": [_rule(rule) for rule in row.decision.audit],
            }
            for row in answer.rows
        ],
    }


def _owner(owner: Owner) -> Json:
    return {
        "name": owner.name,
        "labels": None if owner.identity is None else sorted(owner.identity),
    }


def _rule(rule: Rule | None) -> Json:
    """None is the default."""
    if rule is None:
        return None
    return {
        "name": rule.name,
        "line": rule.mark.line,
        "action": rule.action,
    }
