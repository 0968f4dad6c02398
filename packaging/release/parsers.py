# SPDX-License-Identifier: Apache-2.0
"""The whole command line as one parser, so that manual and completions are the CLI's own words."""

import argparse
from collections.abc import Iterator
from importlib import import_module

from krait.cli.main import VERBS

Actions = tuple[argparse.Action, ...]


class Parser(argparse.ArgumentParser):
    """One that can be read, which argparse has no public way for."""

    @property
    def actions(self) -> Actions:
        """Options and positional arguments, `--help` left out."""
        found = self._actions
        return tuple(each for each in found if not isinstance(each, argparse._HelpAction))  # noqa: SLF001 - argparse lists its own classes nowhere


def verbs() -> Iterator[tuple[str, str, Parser]]:
    """Name, summary and parser of each verb that is part of this build."""
    for name, verb in VERBS.items():
        try:
            module = import_module(verb.module)
        except ModuleNotFoundError as error:
            if error.name != verb.module:
                raise
            continue
        parser = Parser(prog=f"krait {name}", description=verb.summary)
        module.configure(parser)
        yield name, verb.summary, parser


def whole() -> Parser:
    """`krait`, with a subparser for each verb; and the options of `agent`, which needs no verb."""
    root = Parser(prog="krait")
    import_module(VERBS["agent"].module).configure(root)
    subparsers = root.add_subparsers()
    for name, summary, parser in verbs():
        subparsers.add_parser(name, help=summary, parents=[parser], add_help=False)
    return root
