# SPDX-License-Identifier: Apache-2.0
"""`krait example`: a document that shows every key, to begin with."""

import sys
from argparse import ArgumentParser, Namespace

from krait.cli import output
from krait.common.errors import ExitCode
from krait.policy.example import EXAMPLE, MINIMAL


def configure(parser: ArgumentParser) -> None:
    """It is the same for everyone."""
    parser.add_argument(
        "--minimal", action="store_true", help="one with nobody in it, for `krait add` to fill"
    )
    output.json_option(parser)


def run(options: Namespace) -> int:
    """0: the document is on standard output."""
    text = MINIMAL if options.minimal else EXAMPLE
    if options.json:
        output.document({"document": text})
    else:
        sys.stdout.write(text)
    return ExitCode.OK
