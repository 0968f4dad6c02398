# SPDX-License-Identifier: Apache-2.0
"""`krait example`: a document that shows every key, to begin with."""

import sys
from argparse import ArgumentParser, Namespace

from krait.cli import output
from krait.common.errors import ExitCode
from krait.policy.example import EXAMPLE


def configure(parser: ArgumentParser) -> None:
    """It is the same for everyone."""
    output.json_option(parser)


def run(options: Namespace) -> int:
    """0: the document is on standard output."""
    if options.json:
        output.document({"document": EXAMPLE})
    else:
        sys.stdout.write(EXAMPLE)
    return ExitCode.OK
