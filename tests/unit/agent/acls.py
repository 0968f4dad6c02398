# SPDX-License-Identifier: Apache-2.0
"""POSIX ACLs as the kernel takes them, put on files that are there."""

import os
import struct
from errno import ENOTSUP
from pathlib import Path

from tests.requirements import cannot_run

OWNER, USER, OWN_GROUP, GROUP, MASK, OTHER = 1, 2, 4, 8, 16, 32
NOBODY = 0xFFFFFFFF

Entry = tuple[int, int, int]
"""Tag, permissions, id."""


def value(*entries: Entry) -> bytes:
    """These and the three that each ACL has."""
    needed = {tag: (tag, 4, NOBODY) for tag in (OWN_GROUP, OTHER)} | {OWNER: (OWNER, 6, NOBODY)}
    given = {entry[:1] + entry[2:]: entry for entry in entries}
    for tag, entry in needed.items():
        given.setdefault((tag, NOBODY), entry)
    packed = (struct.pack("<HHI", *given[each]) for each in sorted(given))
    return struct.pack("<I", 2) + b"".join(packed)


def put(path: Path, *entries: Entry) -> None:
    try:
        os.setxattr(path, "system.posix_acl_access", value(*entries))
    except OSError as error:
        if error.errno != ENOTSUP:
            raise
        cannot_run("files here have no ACLs")
