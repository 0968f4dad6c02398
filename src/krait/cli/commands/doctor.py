# SPDX-License-Identifier: Apache-2.0
"""`krait doctor [IFACE]`: what this machine lacks, and how to mend it."""

import sys
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterator
from itertools import groupby

from krait.agent.guarded import Guarded, absent
from krait.agent.inspect import inspect
from krait.agent.paths import Paths
from krait.cli import output
from krait.cli.doctor import documents, interface, limits, machine, made, underlay
from krait.cli.doctor.finding import Answer, Finding, Level, answer, examine, refusal
from krait.cli.output import Json, Style, has_colour, paint
from krait.common.errors import ExitCode, KraitError
from krait.common.words import plural, printable
from krait.kernel.link import NoSuchInterface

_TICKS = {Level.OK: "✓", Level.NOTE: "·", Level.WARN: "!", Level.FAIL: "✗"}
_STYLES = {
    Level.OK: Style.GREEN,
    Level.NOTE: Style.CYAN,
    Level.WARN: Style.YELLOW,
    Level.FAIL: Style.RED,
}


def configure(parser: ArgumentParser) -> None:
    """Without an interface, the machine alone."""
    parser.add_argument(
        "interface", metavar="IFACE", nargs="?", help="a WireGuard interface to look at as well"
    )
    output.json_option(parser)


def run(options: Namespace) -> int:
    """0: Krait can work here; 3: something fails. Changes nothing."""
    findings = tuple(_findings(options.interface, Paths.here()))
    if options.json:
        output.document(_report(options.interface, findings))
    else:
        _print(options.interface, findings)
    return ExitCode.SYSTEM if _failed(findings) else ExitCode.OK


def _findings(name: str | None, paths: Paths) -> Iterator[Finding]:
    yield from examine("machine", machine.checks(paths))
    if name is None or not machine.privileged():
        return
    yield from examine("interface", {"agent": lambda: interface.agent(name, paths)})
    try:
        subject = interface.observe(name)
    except NoSuchInterface:
        yield Finding("interface", "wireguard", answer(lambda: made.absent(name, paths)))
        return
    except KraitError as error:
        yield Finding("interface", "wireguard", refusal(error))
        return
    yield from examine("interface", interface.checks(subject, paths))
    yield from examine("underlay", underlay.checks(subject, documents.places(name, paths)))
    yield from examine("limits", limits.checks(subject, lambda: _guard(name, paths)))


def _guard(name: str, paths: Paths) -> Guarded | None:
    """As it is, or as the commit in force wants it."""
    found = inspect(name, paths)
    is_wanted = found.record is not None and found.record.guard
    return absent(name, paths) if found.guard is None and is_wanted else found.guard


def _print(name: str | None, findings: tuple[Finding, ...]) -> None:
    width = max(len(finding.name) for finding in findings)
    titles = {
        "interface": name or "",
        "underlay": "around it",
        "limits": "what Krait does not cover",
    }
    for group, members in groupby(findings, key=lambda each: each.group):
        output.line(paint(titles.get(group, group), Style.BOLD))
        output.table([row for each in members for row in _rows(each, width)], indent="  ")
        output.line()
    counts = Counter(finding.answer.level for finding in findings)
    failed, warned = counts[Level.FAIL], counts[Level.WARN]
    if failed:
        verdict = paint(f"{failed} failed", Style.RED, Style.BOLD)
    else:
        verdict = paint("nothing fails", Style.GREEN, Style.BOLD)
    output.line(f"{verdict}, {plural(warned, 'warning')}")


def _rows(finding: Finding, width: int) -> Iterator[tuple[str, str, str]]:
    said = finding.answer
    yield _mark(said), finding.name.ljust(width), printable(said.message)
    yield from (("", "", printable(each)) for each in said.details)
    if said.hint:
        yield from (("", "", printable(each)) for each in f"hint: {said.hint}".splitlines())


def _mark(answer: Answer) -> str:
    """A tick on a terminal; a word where a program or a log reads."""
    if not has_colour(sys.stdout):
        return f"{answer.level:<4}"
    return paint(_TICKS[answer.level], _STYLES[answer.level])


def _report(name: str | None, findings: tuple[Finding, ...]) -> Json:
    return {
        "interface": name,
        "ok": not _failed(findings),
        "findings": [
            {
                "group": each.group,
                "name": each.name,
                "level": each.answer.level,
                "message": each.answer.message,
                "details": each.answer.details,
                "hint": each.answer.hint,
            }
            for each in findings
        ],
    }


def _failed(findings: tuple[Finding, ...]) -> bool:
    return any(each.answer.level is Level.FAIL for each in findings)
