# SPDX-License-Identifier: Apache-2.0
"""The command line: finds the verb, runs it, and turns errors into words and exit codes.

A verb is one file in `krait.cli.commands`, imported only when it is used, so that `krait --help`
does not wait for netlink or YAML. The file has

    def configure(parser: ArgumentParser) -> None    its options
    def run(options: Namespace) -> int               the exit code

and raises KraitError for whatever a person should read; `krait.cli.failure` tells it.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import NamedTuple, NoReturn

from krait.cli import output
from krait.common.errors import ExitCode, KraitError, UsageError

INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""

PIPE_CLOSED = 141
"""128 + SIGPIPE."""


class Verb(NamedTuple):
    """Where a verb lives, and its line in the help."""

    module: str
    summary: str


VERBS: Mapping[str, Verb] = {
    "agent": Verb("krait.cli.commands.agent", "keep the policy of an interface true"),
    "up": Verb("krait.cli.commands.up", "make the interface of a document, and keep it"),
    "down": Verb("krait.cli.commands.down", "take away an interface that `up` made"),
    "confirm": Verb("krait.cli.commands.confirm", "what `up --confirm` made stays"),
    "rollback": Verb("krait.cli.commands.rollback", "go back to before `up --confirm`"),
    "init": Verb("krait.cli.commands.init", "write a document from a live interface"),
    "example": Verb("krait.cli.commands.example", "print a document that shows every key"),
    "genkey": Verb("krait.cli.commands.genkey", "make this machine's key, print the public one"),
    "add": Verb("krait.cli.commands.add", "put one more node into a document"),
    "fmt": Verb("krait.cli.commands.fmt", "write a document in one form, its comments kept"),
    "check": Verb("krait.cli.commands.check", "read a document and run its tests"),
    "schema": Verb("krait.cli.commands.schema", "print what editors need to know of documents"),
    "explain": Verb("krait.cli.commands.explain", "who may reach whom, and which rule says so"),
    "diff": Verb(
        "krait.cli.commands.diff", "what a document would change, and which flows it cuts"
    ),
    "status": Verb("krait.cli.commands.status", "what is enforced, and what was dropped"),
    "rules": Verb("krait.cli.commands.rules", "what each rule decided, and when it last did"),
    "flows": Verb("krait.cli.commands.flows", "who speaks with whom now, and by which rule"),
    "doctor": Verb("krait.cli.commands.doctor", "what this machine lacks, and how to mend it"),
    "detach": Verb("krait.cli.commands.detach", "take the policy off an interface"),
    "demo": Verb("krait.cli.commands.demo", "four hosts, one policy, real traffic"),
}

_AGENT_OPTIONS = ("--iface", "--config")
_HINT = "see `krait --help`"


class _Parser(argparse.ArgumentParser):
    """Raises instead of exiting, so that bad usage reads like every other error."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"see `{self.prog} --help`")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line, without the program's name. Returns the exit code."""
    _open_streams()
    try:
        code = _answer(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()  # so that a closed pipe and a full disk are met here
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:  # of standard output: every other was told
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for Python's last flush
        if isinstance(error, BrokenPipeError):
            return PIPE_CLOSED
        output.error(f"cannot write the answer: {error.strerror}")
        return ExitCode.SYSTEM
    return code


def _open_streams() -> None:
    """Give a process that was started without them (`>&-`) streams that nobody reads.

    What a stream's encoding does not have, it writes as an escape, and goes on.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - as long as the process
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _answer(arguments: list[str]) -> int:
    """Run the verb; what goes wrong is told, and never taken for the answer "no" (exit code 1)."""
    try:
        return _run(arguments)
    except BrokenPipeError:
        raise
    except (KraitError, OSError) as error:
        from krait.cli import failure

        return failure.tell(error, as_json="--json" in arguments)
    except Exception:  # noqa: BLE001 - a fault of Krait's own: its traceback is the message
        traceback.print_exc()
        return ExitCode.SYSTEM


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        (sys.stdout if arguments else sys.stderr).write(_help())
        return ExitCode.OK if arguments else ExitCode.USAGE
    if arguments[0] == "--version":
        sys.stdout.write(f"krait {_version()}\n")
        return ExitCode.OK
    if arguments[0].partition("=")[0] in _AGENT_OPTIONS:
        return _verb("agent", arguments)
    return _verb(arguments[0], arguments[1:])


def _verb(name: str, arguments: list[str]) -> int:
    verb = VERBS.get(name)
    if verb is None:
        raise UsageError(f'unknown verb "{name}"', hint=_suggestion(name))
    try:
        module = import_module(verb.module)
    except ModuleNotFoundError as error:
        if error.name != verb.module:
            raise
        raise UsageError(f"`krait {name}` is not part of this build", hint=_HINT) from None
    parser = _Parser(prog=f"krait {name}", description=verb.summary, allow_abbrev=False)
    module.configure(parser)
    try:
        options = parser.parse_args(arguments)
    except SystemExit as stop:  # --help was printed
        return int(stop.code or 0)
    return int(module.run(options))


def _help() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:<{width}}  {verb.summary}" for name, verb in VERBS.items())
    return (
        "usage: krait VERB [ARGUMENTS]\n"
        "       krait --iface IFACE [--config FILE]    the same as `krait agent`\n"
        "\n"
        "Identity policy for WireGuard meshes, enforced in the Linux kernel.\n"
        "\n"
        f"{verbs}\n"
        "\n"
        "`krait VERB --help` tells more.\n"
    )


def _suggestion(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, VERBS, n=1)
    return f'did you mean "{near[0]}"?' if near else _HINT


def _version() -> str:
    from importlib.metadata import version

    return version("krait")


if __name__ == "__main__":
    sys.exit(main())
