# SPDX-License-Identifier: Apache-2.0
"""What is being done right now: one line on a terminal's standard error, which leaves no trace."""

import sys

from krait.cli.output import Style, has_colour, paint

_ERASE = "\r\x1b[2K"


def show(text: str) -> None:
    """Replace the line; nothing where there is no terminal."""
    if has_colour(sys.stderr):
        sys.stderr.write(f"{_ERASE}{paint(f'… {text}', Style.DIM, stream=sys.stderr)}")
        sys.stderr.flush()


def clear() -> None:
    """Take the line away, before something else is printed there."""
    if has_colour(sys.stderr):
        sys.stderr.write(_ERASE)
        sys.stderr.flush()
