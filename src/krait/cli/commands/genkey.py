# SPDX-License-Identifier: Apache-2.0
"""`krait genkey IFACE`: make this machine's key, and print the public one, never the private."""

import os
import stat
import sys
from argparse import ArgumentParser, Namespace
from base64 import b64encode
from pathlib import Path

from krait.agent import key
from krait.agent.paths import Paths
from krait.cli import output
from krait.common.errors import ExitCode, UsageError
from krait.policy import values

_STANDARD_INPUT = "-"
_MOST_BYTES = 1 << 20
"""Of a file to import: a wg-quick configuration may have thousands of peers."""

_CLOSE = "chmod 600 that file; if others can log in here, a new key is better"
_OTHERS_READ = stat.S_IRGRP | stat.S_IROTH


def configure(parser: ArgumentParser) -> None:
    """An interface must be said: the private key goes to its file and nowhere else."""
    parser.add_argument("interface", metavar="IFACE", help="the interface that `krait up` makes")
    parser.add_argument(
        "--import",
        dest="source",
        metavar="FILE",
        help="take the private key from there, a wg-quick file or what `wg genkey` printed; - is "
        "standard input",
    )
    output.json_option(parser)


def run(options: Namespace) -> int:
    """0: there is a key, made now or before, and its public one is on standard output."""
    path = Paths.here().key_of(values.interface(options.interface))
    warnings: tuple[str, ...] = ()
    if options.source is None:
        own, made = key.make(path)
    else:
        content, warnings = _read(options.source)
        own = key.parse(content)
        made = key.keep(path, own)
    public_key = b64encode(own.public).decode()
    if options.json:
        report = {"interface": options.interface, "file": str(path), "made": made}
        output.document({**report, "public_key": public_key, "warnings": warnings})
    else:
        for each in warnings:
            output.warning(each, _CLOSE)
        output.line(public_key)
    return ExitCode.OK


def _read(source: str) -> tuple[bytes, tuple[str, ...]]:
    """What is to be imported, of which no word is ever told, and what is wrong with its file."""
    if source == _STANDARD_INPUT:
        return sys.stdin.buffer.read(_MOST_BYTES), ()
    if _is_key(source):  # an error about a file of this name would show it
        raise UsageError("--import wants a file, not the key", hint="name a file, or -")
    try:
        with Path(source).open("rb") as file:  # a pipe is waited for
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_MOST_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        what = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read {source}: {what}", hint="name a file, or -") from None
    if not (stat.S_ISREG(mode) and mode & _OTHERS_READ):
        return content, ()
    open_to_others = f"{source} has the mode {stat.S_IMODE(mode):04o}"
    return content, (f"{open_to_others}: others may have read the key",)


def _is_key(text: str) -> bool:
    try:
        key.parse(os.fsencode(text))
    except UsageError:
        return False
    return True
