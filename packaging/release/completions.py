# SPDX-License-Identifier: Apache-2.0
"""What a shell offers after `krait `: verbs, options, interfaces and files."""

import shtab

from release.parsers import Parser, whole

SHELLS = ("bash", "zsh", "fish")

_INTERFACES = {
    "bash": "_krait_interfaces",
    "zsh": "_net_interfaces",
    "fish": "(__fish_print_interfaces)",
}
_BASH = """
# Not by `compgen -W`, which runs a name such as `$(id)`. Nor is one offered that Krait does not
# take: bash writes it into the line as it is.
_krait_interfaces() {
  local name
  for name in /sys/class/net/*; do
    name=${name##*/}
    [[ $name == "$1"* && $name != *[!a-zA-Z0-9_=+.-]* ]] && printf '%s\\n' "$name"
  done
}
"""
_BY_METAVAR = {"IFACE": _INTERFACES, "FILE": shtab.FILE, "DIR": shtab.DIRECTORY}


def completion(shell: str) -> str:
    """The script for one of `SHELLS`."""
    root = whole()
    _mark(root)
    return str(shtab.complete(root, shell, preamble=_BASH if shell == "bash" else "")) + "\n"


def _mark(parser: Parser) -> None:
    for action in parser.actions:
        if isinstance(action.metavar, str) and action.metavar in _BY_METAVAR:
            # how shtab is told: an attribute that argparse does not have
            action.complete = _BY_METAVAR[action.metavar]  # type: ignore[attr-defined]
        if isinstance(action.choices, dict):  # verbs, each with a parser
            for each in action.choices.values():
                _mark(each)
