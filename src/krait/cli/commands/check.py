# SPDX-License-Identifier: Apache-2.0
"""`krait check FILE`: is this document right, and does it pass its own tests?"""

from argparse import ArgumentParser, Namespace

from krait.cli import output
from krait.cli.amounts import plural
from krait.cli.files import load_document
from krait.cli.output import Json, Style, paint
from krait.cli.waiting import progress
from krait.common.errors import ExitCode
from krait.policy import expectations
from krait.policy.advice import Advice, advise
from krait.policy.compile import check_size
from krait.policy.expectations import Failure
from krait.policy.identities import identities
from krait.policy.model import Document


def configure(parser: ArgumentParser) -> None:
    """No interface: a document is right or wrong on any machine."""
    parser.add_argument("file", metavar="FILE", help="the policy document; - is standard input")
    output.json_option(parser)


def run(options: Namespace) -> int:
    """0: right; 1: a test of the document fails; 2, by UsageError: it cannot be used."""
    with progress(f"checking {options.file}"):
        document = load_document(options.file)
        check_size(document)
        failures, advice = expectations.run(document), advise(document)
    if options.json:
        output.document(_report(document, failures, advice))
    else:
        _print(document, failures, advice)
    return ExitCode.NO if failures else ExitCode.OK


def _print(document: Document, failures: tuple[Failure, ...], advice: tuple[Advice, ...]) -> None:
    for each in advice:
        place = f"{document.source}:{each.line}:{each.column}"
        output.remark("warning", f"{place}: {each.message}", Style.YELLOW)
    for failure in failures:
        output.remark("failed", failure.message, Style.RED)
    tests = plural(len(document.policy.tests), "test")
    if failures:
        output.line(f"{len(failures):,} of {tests} failed")
    else:
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


def _report(document: Document, failures: tuple[Failure, ...], advice: tuple[Advice, ...]) -> Json:
    return {
        "ok": not failures,
        "problems": [],
        "warnings": [
            {"line": each.line, "column": each.column, "message": each.message, "id": each.id}
            for each in advice
        ],
        "failures": [
            {
                "line": failure.test.mark.line,
                "column": failure.test.mark.column,
                "from": failure.source,
                "to": failure.destination,
                "message": failure.message.removeprefix(_place(document, failure)),
            }
            for failure in failures
        ],
        **_counts(document),
    }
