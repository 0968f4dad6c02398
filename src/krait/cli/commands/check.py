# SPDX-License-Identifier: Apache-2.0
"""`krait check FILE`: is this document right, and does it pass its own tests?"""

import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from dataclasses import dataclass

from krait.cli import output
from krait.cli.files import load_document
from krait.cli.output import Json, Style, paint
from krait.cli.waiting import progress
from krait.common.errors import ExitCode, UsageError
from krait.common.words import plural
from krait.policy import advice, expectations, lint
from krait.policy.advice import Advice
from krait.policy.compile import check_size
from krait.policy.expectations import Failure
from krait.policy.identities import identities
from krait.policy.lint import Finding
from krait.policy.model import Document
from krait.policy.problems import quoted, suggestion

IDS = advice.IDS | lint.IDS
"""What can be excused."""


def configure(parser: ArgumentParser) -> None:
    """No interface: a document is right or wrong on any machine."""
    parser.add_argument("file", metavar="FILE", help="the policy document; - is standard input")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="look for rules that do nothing, allow too much or lack a test; 1 if there is any",
    )
    parser.add_argument(
        "--allow",
        metavar="ID[,ID]",
        type=_ids,
        action="extend",
        default=[],
        help="with --strict: what is meant, by the ids that it prints; may be repeated",
    )
    output.json_option(parser)


def _ids(text: str) -> list[str]:
    ids = text.split(",")
    for each in ids:
        if each not in IDS:
            near = suggestion(each, IDS) or f"they are {', '.join(sorted(IDS))}"
            raise ArgumentTypeError(f"no finding is called {quoted(each)}; {near}")
    return ids


@dataclass(frozen=True, slots=True)
class _Checked:
    """What is to be said of a document."""

    document: Document
    failures: tuple[Failure, ...]
    warnings: tuple[Advice, ...]
    findings: tuple[Finding, ...] | None  # None: nobody looked

    @property
    def remarks(self) -> list[Advice | Finding]:
        """In the order of the file."""
        found: list[Advice | Finding] = [*self.warnings, *(self.findings or ())]
        return sorted(found, key=lambda each: (each.line, each.column, each.message))

    @property
    def is_ok(self) -> bool:
        return not self.failures and (self.findings is None or not self.remarks)


def run(options: Namespace) -> int:
    """0: right; 1: a test fails, or `--strict` finds something; 2, by UsageError: no use."""
    if options.allow and not options.strict:
        raise UsageError("--allow without --strict", hint="without it, nothing needs an excuse")
    with progress(f"checking {options.file}"):
        document = load_document(options.file)
        check_size(document)
        checked = _checked(document, frozenset(options.allow), strict=options.strict)
    if options.json:
        output.document(_report(checked))
    else:
        _print(checked)
    return ExitCode.OK if checked.is_ok else ExitCode.NO


def _checked(document: Document, excused: frozenset[str], *, strict: bool) -> _Checked:
    found = lint.lint(document) if strict else ()
    return _Checked(
        document,
        expectations.run(document),
        tuple(each for each in advice.advise(document, time.time()) if each.id not in excused),
        tuple(each for each in found if each.id not in excused) if strict else None,
    )


def _print(checked: _Checked) -> None:
    document, failures, remarks = checked.document, checked.failures, checked.remarks
    strict = checked.findings is not None
    for each in remarks:
        what = f"{each.message} [{each.id}]" if strict else each.message
        place = f"{document.source}:{each.line}:{each.column}"
        output.remark("warning", f"{place}: {what}", Style.YELLOW)
    for failure in failures:
        output.remark("failed", failure.message, Style.RED)
    tests = plural(len(document.policy.tests), "test")
    if failures:
        output.line(f"{len(failures):,} of {tests} failed")
    if strict and remarks:
        ids = ",".join(dict.fromkeys(each.id for each in remarks))
        output.line(f"{plural(len(remarks), 'warning')}, and --strict takes none")
        output.remark("hint", f"what is meant can be excused: --allow {ids}", Style.CYAN)
    if checked.is_ok:
        output.line(f"{paint('ok:', Style.GREEN)} {_size(document)}, {tests} passed")


def _size(document: Document) -> str:
    """`4 nodes, 1 identity, 6 rules`."""
    counts = _counts(document)
    return ", ".join(
        (
            plural(counts["nodes"], "node"),
            plural(counts["identities"], "identity", "identities"),
            plural(counts["rules"], "rule"),
        )
    )


def _counts(document: Document) -> dict[str, int]:
    return {
        "nodes": len(document.nodes),
        "identities": len(identities(document)),
        "rules": len(document.policy.rules),
        "tests": len(document.policy.tests),
    }


def _place(document: Document, failure: Failure) -> str:
    """What the message begins with, and JSON has in keys of their own."""
    return f"{document.source}:{failure.test.mark.line}:{failure.test.mark.column}: "


def _report(checked: _Checked) -> Json:
    document, findings = checked.document, checked.findings
    return {
        "ok": checked.is_ok,
        "problems": [],
        "warnings": [
            {"line": each.line, "column": each.column, "message": each.message, "id": each.id}
            for each in checked.warnings
        ],
        "findings": None
        if findings is None
        else [
            {
                "line": each.line,
                "column": each.column,
                "message": each.message,
                "id": each.id,
                "rule": each.rule,
            }
            for each in findings
        ],
        "failures": [
            {
                "line": failure.test.mark.line,
                "column": failure.test.mark.column,
                "from": failure.source,
                "to": failure.destination,
                "message": failure.message.removeprefix(_place(document, failure)),
            }
            for failure in checked.failures
        ],
        **_counts(document),
    }
