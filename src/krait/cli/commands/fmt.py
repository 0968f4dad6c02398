# SPDX-License-Identifier: Apache-2.0
"""`krait fmt FILE`: a document in the one form that all of them have, its comments kept."""

import sys
from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from pathlib import Path

from krait.cli import output
from krait.cli.files import STANDARD_INPUT, read_file, reading
from krait.cli.output import Style, paint
from krait.common.errors import ExitCode, UsageError
from krait.kernel.files import original, writing
from krait.policy.formatted import formatted
from krait.policy.yaml_source import MAX_BYTES


def configure(parser: ArgumentParser) -> None:
    """Either the file is replaced, or standard output has the text, or there is only an answer."""
    parser.add_argument(
        "file",
        metavar="FILE",
        help="the policy document, which is changed; - is standard input, to standard output",
    )
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 if it would be changed"
    )
    output.json_option(parser)


def run(options: Namespace) -> int:
    """0: it has the form, since now or before; 1, with --check: it has not."""
    if options.file == STANDARD_INPUT:
        return _filter(options)
    with ExitStack() as stack:
        with reading(options.file):
            old = stack.enter_context(original(Path(options.file), MAX_BYTES))
        new = formatted(old.content, options.file)
        is_new = new != old.content
        if is_new and not options.check:
            with writing(Path(options.file)):
                old.replace(new)
    return _answer(options, options.file, changed=is_new)


def _filter(options: Namespace) -> int:
    if options.json and not options.check:
        raise UsageError("the document itself is on standard output", hint="leave out --json")
    old = read_file(STANDARD_INPUT)
    new = formatted(old, "<stdin>")
    if options.check:
        return _answer(options, "<stdin>", changed=new != old)
    sys.stdout.buffer.write(new)  # in UTF-8, whatever the locale
    return ExitCode.OK


def _answer(options: Namespace, file: str, *, changed: bool) -> int:
    if options.json:
        output.document({"file": file, "changed": changed})
    elif options.check and changed:
        output.line(f"{paint('would change:', Style.YELLOW)} {file}; krait fmt writes it")
    elif changed:
        output.line(f"{paint('formatted:', Style.GREEN)} {file}")
    else:
        output.line(f"{paint('ok:', Style.GREEN)} {file} is as krait fmt writes it")
    return ExitCode.NO if options.check and changed else ExitCode.OK
