# SPDX-License-Identifier: Apache-2.0
"""`krait schema`: what an editor has to know of documents, as a JSON Schema."""

import sys
from argparse import ArgumentParser, Namespace

from krait.common.errors import ExitCode
from krait.policy.schema import text


def configure(parser: ArgumentParser) -> None:
    """It is the same for everyone, and JSON already."""
    parser.epilog = "For editors: docs/policy.md says how they are told of it."


def run(options: Namespace) -> int:  # noqa: ARG001 - as all verbs have it
    """0: the schema is on standard output."""
    sys.stdout.write(text())
    return ExitCode.OK
