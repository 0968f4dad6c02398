# SPDX-License-Identifier: Apache-2.0
"""What bpf(2) and libbpf answer when they refuse."""

import errno
import os

from krait.common.errors import SystemRefused

ENOTSUPP = 524
"""The kernel's own "not supported", which never got a name in user space (linux/errno.h)."""

_LOG_TAIL_LINES = 20

_LACKS = "`krait doctor` says what this kernel lacks."
_HINTS = {
    errno.EPERM: "Run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON.",
    errno.ENODEV: "The interface is gone, or in another network namespace.",
    errno.ENOLINK: "The interface was deleted under the link: unlink the pin and attach anew.",
    errno.ENOMEM: "Free memory, or make the tables smaller.",
    **dict.fromkeys((errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, ENOTSUPP), _LACKS),
}


class BpfRefused(SystemRefused):
    """The kernel or libbpf refused; `errno` says how, `log` is what libbpf printed about it.

    As text it is the message, then the end of the log if there is one: for a program that does not
    load, the verifier's own words.
    """

    def __init__(self, message: str, *, errno: int, hint: str = "", log: str = "") -> None:
        super().__init__(message, hint=hint)
        self.errno = errno
        self.log = log

    def __str__(self) -> str:
        return "\n".join((self.message, *self.log.splitlines()[-_LOG_TAIL_LINES:]))


class MapFull(BpfRefused):
    """A map has no room for what was written; the entries before it are in the map."""


def refused(number: int, subject: object, doing: str, *, log: str = "") -> BpfRefused:
    """The error for errno `number`, met by `subject` while `doing` something."""
    name = errno.errorcode.get(number, "ENOTSUPP" if number == ENOTSUPP else str(number))
    reason = os.strerror(number) if number in errno.errorcode else "not supported"
    if number > ENOTSUPP:  # libbpf has numbers of its own, and explains them in its log
        reason = "libbpf cannot make sense of it"
    message = f"{subject}: {doing}: {reason} ({name})"
    return BpfRefused(message, errno=number, hint=_HINTS.get(number, ""), log=log)
