# SPDX-License-Identifier: Apache-2.0
"""Saying what takes its time."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

from krait.cli import output

SOON_S = 1.0
"""Nobody wonders before."""


@contextmanager
def progress(what: str, after_s: float = SOON_S) -> Iterator[None]:
    """Say on a terminal what is being done, if it is not done soon."""
    timer = Timer(after_s, lambda: output.note(f"{what} …"))
    timer.daemon = True
    if sys.stderr.isatty():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
