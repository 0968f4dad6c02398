# SPDX-License-Identifier: Apache-2.0
"""A folder of pins that belong together: all of one load of an object, or nothing."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from krait.kernel.bpf.descriptor import Descriptor


def pin_together(directory: Path, things: Mapping[str, Descriptor]) -> None:
    """Pin each by its name, in a folder that appears at once, or not at all.

    Raises BpfRefused; what was pinned by then lies in the folder's name with a `+`.
    """
    unfinished = directory.with_name(directory.name + "+")
    remove_pins(unfinished)
    unfinished.mkdir(parents=True)
    for name, each in things.items():
        each.pin(unfinished / name)
    unfinished.rename(directory)


def remove_pins(directory: Path) -> None:
    """Unpin what lies there; what is attached goes on running.

    What else lies there stays, and the directory with it: nothing of ours is a directory in it.
    """
    if not directory.is_dir() or directory.is_symlink():
        return
    for each in directory.iterdir():
        if each.is_symlink() or not each.is_dir():
            each.unlink()
    with suppress(OSError):  # something stays
        directory.rmdir()
