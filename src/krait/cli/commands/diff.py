# SPDX-License-Identifier: Apache-2.0
"""`krait diff FILE`: what would change if this document came into force?"""

import time
from argparse import ArgumentParser, Namespace

from krait.agent.foresight import Foresight, foresee
from krait.agent.paths import Paths
from krait.cli import comparison, output
from krait.cli.comparison_report import report
from krait.cli.files import STANDARD_INPUT, load_document
from krait.cli.waiting import progress
from krait.common.errors import ExitCode, UsageError
from krait.kernel.capability import NEEDED, require
from krait.policy import expectations, lifetime
from krait.policy.compare import compare
from krait.policy.compile import check_size
from krait.policy.model import Document


def configure(parser: ArgumentParser) -> None:
    """Against what is in force on an interface, or against another file."""
    parser.add_argument("file", metavar="FILE", help="the policy document; - is standard input")
    parser.add_argument(
        "--iface", metavar="IFACE", help="compare with what is in force there; else FILE says where"
    )
    parser.add_argument(
        "--against", metavar="OTHER", help="compare with this document: no root, no interface"
    )
    output.json_option(parser)


def run(options: Namespace) -> int:
    """0: nothing changes for anybody's packets; 1: something does. Changes nothing itself."""
    if options.against is not None and options.iface is not None:
        raise UsageError(
            "--against compares two files, --iface one with what is in force: not both",
            hint="leave one of them out",
        )
    if options.file == options.against == STANDARD_INPUT:
        raise UsageError("standard input is one document", hint="give one of the two as a file")
    with progress(f"comparing {options.file}"):
        written, now_s = load_document(options.file), time.time()
        check_size(written)
        document = lifetime.at(written, now_s)
        if options.against is None:
            seen = _foresee(document, options.iface)
            before = seen.before
        else:
            seen, before = None, load_document(options.against)
        found = compare(lifetime.at(before, now_s), document)
        failures = expectations.run(written)
    for failure in failures:
        output.warning(f"it would be refused: {failure.message}")
    if options.json:
        output.document(report(found, seen))
    else:
        comparison.show(found, seen)
    changes = comparison.changes(found, seen.cuts if seen else None)
    return ExitCode.NO if changes else ExitCode.OK


def _foresee(document: Document, asked: str | None) -> Foresight:
    interface = asked or document.interface
    if interface is None:
        raise UsageError(
            f"{document.source} does not say for which interface it is",
            hint="say it with --iface, or compare with another file: --against OTHER",
        )
    if document.interface not in (None, interface):
        raise UsageError(
            f"{document.source}: `interface: {document.interface}`, but {interface} is asked for",
            hint="name the document of this interface, or correct `interface:`",
        )
    require(*NEEDED)
    paths = Paths.here()
    paths.require_seen()
    return foresee(interface, document, paths)
