# SPDX-License-Identifier: Apache-2.0
"""`krait check FILE`: is this document right, and does it pass its own tests?"""

from argparse import ArgumentParser, Namespace

from krait.cli import output
from krait.cli.files import read_file
from krait.cli.output import Json, Style, paint
from krait.common.errors import ExitCode, UsageError
from krait.policy import expectations
from krait.policy.advice import Advice, advise
from krait.policy.compile import check_size
from krait.policy.document import load
from krait.policy.expectations import Failure
from krait.policy.identities import identities
from krait.policy.model import Document
from krait.policy.problems import DocumentError


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the policy document")
    output.json_option(parser)


def run(options: Namespace) -> int:
    """0: right; 1: a test of the document fails; 2, by DocumentError: it cannot be used."""
    data = read_file(options.file)
    try:
        document = load(data, options.file)
        check_size(document)
    except UsageError as error:
        if not options.json:
            raise
        output.document({"ok": False, "problems": _problems(error)})
        return error.exit_code
    failures, advice = expectations.run(document), advise(document)
    if options.json:
        output.document(_report(document, failures, advice))
    else:
        _print(document, failures, advice)
    return ExitCode.NO if failures else ExitCode.OK


def _print(document: Document, failures: tuple[Failure, ...], advice: tuple[Advice, ...]) -> None:
    for each in advice:
        place = f"{document.source}:{each.line}:{each.column}"
        output.line(f"{paint('warning:', Style.YELLOW)} {place}: {each.message}")
    for failure in failures:
        output.line(f"{paint('failed:', Style.RED)} {failure.message}")
    counts = _counts(document)
    tests = counts.pop("tests")
    size = ", ".join(f"{count:,} {_plural(word, count)}" for word, count in counts.items())
    if failures:
        output.line(f"{len(failures)} of {tests} {_plural('tests', tests)} failed")
    else:
        passed = f"{tests} {_plural('tests', tests)} passed"
        output.line(f"{paint('ok:', Style.GREEN)} {size}, {passed}")


def _counts(document: Document) -> dict[str, int]:
    return {
        "nodes": len(document.nodes),
        "identities": len(identities(document)),
        "rules": len(document.policy.rules),
        "tests": len(document.policy.tests),
    }


def _plural(word: str, count: int) -> str:
    singular = {"identities": "identity"}.get(word, word.removesuffix("s"))
    return singular if count == 1 else word


def _problems(error: UsageError) -> list[Json]:
    """Each with its place; what concerns the document as a whole has none."""
    if not isinstance(error, DocumentError):
        return [{"line": 0, "column": 0, "message": error.message, "hint": error.hint}]
    return [
        {"line": each.line, "column": each.column, "message": each.message, "hint": each.hint}
        for each in error.problems
    ]


def _report(document: Document, failures: tuple[Failure, ...], advice: tuple[Advice, ...]) -> Json:
    return {
        "ok": not failures,
        "problems": [],
        "warnings": [
            {"line": each.line, "column": each.column, "message": each.message} for each in advice
        ],
        "failures": [
            {
                "line": failure.test.mark.line,
                "column": failure.test.mark.column,
                "from": failure.source,
                "to": failure.destination,
                "message": failure.message,
            }
            for failure in failures
        ],
        **_counts(document),
    }
