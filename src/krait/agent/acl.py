# SPDX-License-Identifier: Apache-2.0
"""Who may write to a file by its POSIX ACL, of which its mode tells no more than a bound.

With an ACL the mode's bits of the group are the mask: the most that any user or group that is
named there may do, and the file's own group too.
"""

import os
from errno import ENODATA, ENOTSUP
from pathlib import Path
from struct import Struct
from typing import NamedTuple

_ATTRIBUTE = "system.posix_acl_access"
_VERSION = (2).to_bytes(4, "little")
_ENTRY = Struct("<HHI")  # linux/posix_acl_xattr.h: tag, permissions, id
_USER, _OWN_GROUP, _GROUP, _MASK = 0x02, 0x04, 0x08, 0x10
_WRITE = 2


class Writers(NamedTuple):
    """Those who may write beside the owner and everybody, by their numbers."""

    users: frozenset[int]
    groups: frozenset[int]


def writers(path: Path | str, own_group: int) -> Writers | None:
    """By the ACL of a file or folder that has this group; None where there is none to ask.

    Raises OSError, as where nothing is there any more.
    """
    try:
        return parse(os.getxattr(path, _ATTRIBUTE), own_group)
    except OSError as error:
        if error.errno in (ENODATA, ENOTSUP):
            return None
        raise


def parse(value: bytes, own_group: int) -> Writers | None:
    """The same of the attribute's value; None of a form that Linux does not give."""
    head, entries = value[: len(_VERSION)], value[len(_VERSION) :]
    if head != _VERSION or len(entries) % _ENTRY.size:
        return None
    allowed = list(_ENTRY.iter_unpack(entries))
    if any(tag == _MASK and not may & _WRITE for tag, may, _ in allowed):
        return Writers(frozenset(), frozenset())
    writing = [(tag, who) for tag, may, who in allowed if may & _WRITE]
    users = {who for tag, who in writing if tag == _USER}
    groups = {who for tag, who in writing if tag == _GROUP}
    groups |= {own_group for tag, _ in writing if tag == _OWN_GROUP}
    return Writers(frozenset(users), frozenset(groups))
