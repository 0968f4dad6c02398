# SPDX-License-Identifier: Apache-2.0
"""The command that is running, for another process of it: however it was installed and called."""

import os
import sys
from pathlib import Path
from zipfile import is_zipfile


def ourselves(called: str | None = None) -> tuple[str, ...]:
    """The words before a verb; `called` is what this process was called by, its argv[0].

    The single file is run by this very Python, for it may have been told so: the one that its first
    line names can be too old. A command of another name, such as pytest, is none of ours.
    """
    command = Path(sys.argv[0] if called is None else called)
    if command.is_file():
        if is_zipfile(command):
            return sys.executable, "-I", str(command.absolute())
        if command.name == "krait" and os.access(command, os.X_OK):
            return (str(command.absolute()),)
    return sys.executable, "-m", "krait.cli.main"
