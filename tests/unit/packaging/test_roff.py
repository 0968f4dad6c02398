# SPDX-License-Identifier: Apache-2.0
"""Markdown becomes a man page that says the same: what groff makes of it is what is compared."""

import subprocess

import pytest

from release import roff
from tests.requirements import need_tools

need_tools("man")


def shown(markdown: str) -> str:
    """As a terminal of 60 columns shows it, without indentation."""
    page = f".TH T 1\n.nh\n.ad l\n{roff.section('All')}\n{roff.from_markdown(markdown)}\n"
    command = ["man", "--warnings", "--local-file", "-"]
    done = subprocess.run(
        command,
        input=page,
        capture_output=True,
        text=True,
        check=True,
        env={"MANWIDTH": "60", "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
    )
    assert not done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()[3:-2]]
    return "\n".join(line for line in lines if line)


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("# Title\n\nA line\nand another.", "A line and another."),
        ("one\n\ntwo", "one\ntwo"),
        ("## Part of it\n\na", "PART OF IT\na"),
        ("### `krait init IFACE`\na", "krait init IFACE\na"),
        ("a **b** `--c` *d* [e `f`](g.md#h)", "a b --c d e f"),
        ("* one\n  and on\n* two", "• one and on\n• two"),
        ("```yaml\na:  1\n.b: 'c'\n\\d\n```\nafter", "a:  1\n.b: 'c'\n\\d\nafter"),
        (".a line that begins like a macro", ".a line that begins like a macro"),
        ("`'quoted`\\n", "'quoted\\n"),
        ("| | |\n|---|---|\n| `a` | the first |", "a      the first"),
        ("| key of `b` | |\n|---|---|\n| `a` | one |", "key of b:\na      one"),
        ("| path | what it is |\n|---|---|\n| `/` | all |", "path: what it is\n/      all"),
        ("| a | 0 | 1 |\n|---|---|---|\n| `x` | yes | |", "a:\nx      0: yes."),
        ('a `"*"` and `"*"`', 'a "*" and "*"'),
    ],
)
def test_a_page_says_what_the_document_says(markdown: str, expected: str) -> None:
    assert shown(markdown) == expected
