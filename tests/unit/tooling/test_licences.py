# SPDX-License-Identifier: Apache-2.0
"""Every source file says at its top under which licence it may be used."""

import subprocess
from pathlib import Path, PurePath

import pytest

ROOT = Path(__file__).parents[3]

OURS = "Apache-2.0"
KERNEL = "GPL-2.0-only OR BSD-2-Clause"

WITHOUT = {
    ".GPL-2": "a licence itself",
    ".json": "has no comments",
    ".lock": "written by uv",
    ".md": "read as prose, under the licence of the whole",
    ".messages": "recorded bytes",
    ".txt": "recorded output",
    ".typed": "empty by definition",
    ".wg": "recorded output",
    "LICENSE": "a licence itself",
}
"""Suffixes, and names without one, of files that need no header; everything else is source."""


def tracked() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout of git")
    listed = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).exists()]


def licence(name: str) -> str | None:
    """What a file has to say, by its name; None if nothing."""
    path = PurePath(name)
    if (path.suffix or path.name) in WITHOUT:
        return None
    return KERNEL if path.parts[0] == "ebpf" or name.endswith(".bpf.c") else OURS


def said(text: str) -> str | None:
    """The licence of the first line, or of the second below a `#!`."""
    lines = text.splitlines()
    if lines and lines[0].startswith("#!"):
        del lines[0]
    _, found, expression = (lines[0] if lines else "").partition("SPDX-License-Identifier: ")
    return expression.removesuffix("*/").strip() if found else None


def test_every_source_file_names_its_licence() -> None:
    expected = {name: needed for name in tracked() if (needed := licence(name))}
    assert {KERNEL, OURS} == set(expected.values())
    found = {name: said((ROOT / name).read_text()) for name in expected}
    assert found == expected


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("ebpf/krait/flow.h", KERNEL),
        ("ebpf/build", KERNEL),
        ("bench/filter.bpf.c", KERNEL),
        ("bench/filter.py", OURS),
        (".gitignore", OURS),
        ("ebpf/LICENSE", None),
        ("src/krait/py.typed", None),
    ],
)
def test_programs_of_the_kernel_have_a_licence_of_their_own(name: str, needed: str | None) -> None:
    assert licence(name) == needed


@pytest.mark.parametrize(
    "text", ["", "x = 1\n# SPDX-License-Identifier: Apache-2.0\n", "#!/bin/sh"]
)
def test_a_licence_further_down_is_not_found(text: str) -> None:
    assert said(text) is None
