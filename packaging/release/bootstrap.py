# SPDX-License-Identifier: Apache-2.0
"""The single file's __main__: unpacks Krait where nobody else can write, once, and runs it there.

For root that is below /var/cache, whatever HOME says: `sudo` may keep a user's HOME, and root must
not run what a user can change. For anybody else it is below XDG_CACHE_HOME or ~/.cache. Where that
cannot be written to, or is not ours alone, a folder is made for this one run (docs/adr/0016).
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - here the user chooses the Python
    sys.exit(f"krait: Python 3.11 or newer is needed; with one, run: python3.11 {sys.argv[0]}")

import atexit
import os
import shutil
import stat
import tempfile
from pathlib import Path
from zipfile import ZipFile

TREE = "tree/"
"""What is unpacked; `id`, beside it, says which tree it is."""


class _NotOurs(OSError):
    """Others could have put something there."""


def cache() -> Path:
    """Where trees are kept from one run to the next."""
    if os.geteuid() == 0:
        return Path("/var/cache/krait")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "krait"


def unpacked(archive: str, kept: Path) -> Path:
    """The folder with this archive's tree, in `kept` where that can be."""
    with ZipFile(archive) as packed:
        try:
            kept.mkdir(mode=0o700, parents=True, exist_ok=True)
            _require_ours(kept)
            tree = kept / packed.read("id").decode()
            if not tree.is_dir():
                _put_in_place(packed, tree)
        except OSError:
            fresh = Path(tempfile.mkdtemp(prefix="krait-"))
            atexit.register(shutil.rmtree, fresh, ignore_errors=True)
            tree = fresh / "tree"
            _unpack(packed, tree)
    return tree


def _require_ours(folder: Path) -> None:
    found = folder.lstat()
    others_write = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or others_write:
        raise _NotOurs(folder)


def _put_in_place(packed: ZipFile, tree: Path) -> None:
    """Whole or not at all, also after a loss of power: a guard must start again."""
    fresh = Path(tempfile.mkdtemp(prefix=".", dir=tree.parent))
    try:
        _unpack(packed, fresh / "tree")
        os.sync()
        (fresh / "tree").rename(tree)
    except OSError:
        if not tree.is_dir():  # else another process was faster
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _unpack(packed: ZipFile, tree: Path) -> None:
    tree.mkdir(mode=0o700)
    packed.extractall(tree, [name for name in packed.namelist() if name.startswith(TREE)])


def run() -> int:
    """Krait's own exit code."""
    sys.path[0] = str(unpacked(sys.path[0], cache()) / TREE)  # it was the archive
    from krait.cli.main import main

    return main()


if __name__ == "__main__":
    sys.exit(run())
