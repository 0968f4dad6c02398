# SPDX-License-Identifier: Apache-2.0
"""`./just fuzz`, with the inputs of every run of the tests."""

import subprocess
import sys
from importlib.util import find_spec
from os import environ
from pathlib import Path

from tests.requirements import cannot_run

ROOT = Path(__file__).parents[3]


def fuzzer(keep: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """What it said, and its exit code; nothing of a run before."""
    if find_spec("atheris") is None:
        cannot_run("no atheris, which has wheels for Python 3.11 to 3.13 on x86-64 Linux")
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *words, "--tested", "--keep", keep],
        cwd=ROOT,
        env={**environ, "PYTHONHASHSEED": "0"},  # sets are walked in the same order
        capture_output=True,
        text=True,
        check=False,
    )
