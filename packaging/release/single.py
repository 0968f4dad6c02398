# SPDX-License-Identifier: Apache-2.0
"""`dist/krait`: one file that any Python from 3.11 on runs, by release/bootstrap.py."""

import time
from hashlib import sha256
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from release import bootstrap
from release.tree import files

# Isolated: neither PYTHONPATH nor a user's own site-packages have a say in what root runs.
_INTERPRETER = b"#!/usr/bin/python3 -I\n"


def write(target: Path, tree: Path, made_s: int) -> None:
    """Pack a tree that release.tree laid out; `made_s` is the date of all in it.

    Equal trees make equal files. The id is of names and contents, so that a tree that was unpacked
    before is used again exactly if it is the same.
    """
    date = time.gmtime(made_s)[:6]
    contents = {f"{path.relative_to(tree)}": path.read_bytes() for path in files(tree)}
    identity = sha256()
    for name, content in contents.items():
        identity.update(b"%d %d " % (len(name), len(content)) + name.encode() + content)
    with target.open("wb") as file:
        file.write(_INTERPRETER)
        with ZipFile(file, "w", ZIP_DEFLATED, compresslevel=9) as packed:

            def add(name: str, content: bytes) -> None:
                packed.writestr(ZipInfo(name, date), content, ZIP_DEFLATED)

            add("__main__.py", Path(bootstrap.__file__).read_bytes())
            add("id", identity.hexdigest().encode())
            for name, content in contents.items():
                add(bootstrap.TREE + name, content)
    target.chmod(0o755)
