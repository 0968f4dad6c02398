# SPDX-License-Identifier: Apache-2.0
"""The man pages: krait(8) from the command line's parsers and docs/cli.md, krait.yaml(5) from
docs/policy.md. What they say is said there; only the frame of a page is written here.
"""

import argparse
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from release import roff
from release.parsers import Parser, verbs

ROOT = Path(__file__).parents[2]

_AFTER_HEADING = re.compile(r"^(\.S[HS] .*\n)\.PP\n", re.MULTILINE)
"""Begins a paragraph anyway; mandoc complains of one that is said."""

_FILES = """\
| path | what it is |
|---|---|
| `/etc/krait/IFACE.yaml` | the document of an interface |
| `/etc/krait/krait.yaml` | the document of every interface that has none of its own |
| `/var/lib/krait/` | what was committed, and the document that was in force last; for root alone |
| `/run/krait/` | the lock of each agent, and what it says of itself |
| `/sys/fs/bpf/krait/` | programs, tables and links, which outlive the agent |
"""


def krait(version: str, made_s: int) -> str:
    """krait(8). `made_s` is the page's date, in seconds since 1970."""
    usage = "`krait` VERB [ARGUMENTS]"
    return _page(
        ("krait", 8, "identity policy for WireGuard, enforced by eBPF"),
        version,
        made_s,
        [
            roff.section("Synopsis"),
            roff.paragraph(usage),
            roff.paragraph("`krait --iface` IFACE [`--config` FILE]"),
            roff.section("Description"),
            roff.paragraph(
                "Krait gives a WireGuard interface a policy: which node, by its tags, may open "
                "which flow to which. The kernel judges every packet; `krait` writes its tables, "
                "keeps them true, and tells what they say. The document: krait.yaml(5)."
            ),
            roff.section("Verbs"),
            *(each for name, summary, parser in verbs() for each in _verb(name, summary, parser)),
            roff.section("For scripts"),
            roff.from_markdown((ROOT / "docs" / "cli.md").read_text()),
            roff.section("Files"),
            roff.from_markdown(_FILES),
            roff.section("See also"),
            roff.paragraph("krait.yaml(5), wg(8), wg-quick(8), systemctl(1)"),
        ],
    )


def krait_yaml(version: str, made_s: int) -> str:
    """krait.yaml(5)."""
    return _page(
        ("krait.yaml", 5, "who is in the mesh, and who may reach whom"),
        version,
        made_s,
        [
            roff.section("Description"),
            roff.from_markdown((ROOT / "docs" / "policy.md").read_text()),
            roff.section("See also"),
            roff.paragraph("krait(8)"),
        ],
    )


def _page(what: tuple[str, int, str], version: str, made_s: int, body: list[str]) -> str:
    name, number, purpose = what
    date = datetime.fromtimestamp(made_s, UTC).date()
    lines = [
        f'.TH {name.upper()} {number} "{date}" "Krait {version}"',
        ".nh",
        ".ad l",
        roff.section("Name"),
        rf"{name} \- {purpose}",
        *body,
    ]
    return _AFTER_HEADING.sub(r"\1", "\n".join(lines) + "\n")


def _verb(name: str, summary: str, parser: Parser) -> Iterator[str]:
    words = [_shown(action) for action in parser.actions]
    yield roff.subsection(" ".join([f"krait {name}", *words]))
    yield roff.paragraph(f"{summary[:1].upper()}{summary[1:]}.")
    for action in parser.actions:
        flags = ", ".join(f"`{flag}`" for flag in action.option_strings)
        yield roff.term(f"{flags} {_value(action)}".strip(), action.help or "")


def _shown(action: argparse.Action) -> str:
    """`--iface IFACE`, `[--json]`, `[PORT]`."""
    said = " ".join(filter(None, [*action.option_strings[:1], _value(action)]))
    return said if action.required else f"[{said}]"


def _value(action: argparse.Action) -> str:
    """What stands for the value; nothing for a switch."""
    if action.nargs == 0:
        return ""
    if action.choices:
        return "|".join(map(str, action.choices))
    shown = action.metavar or action.dest.upper()
    return shown if isinstance(shown, str) else " ".join(shown)
