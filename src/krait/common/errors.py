# SPDX-License-Identifier: Apache-2.0
"""Errors that a person reads: what went wrong, how to mend it, and the exit code it deserves.

Only the command line exits; library code raises. A denied packet is a verdict, never an error.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a `krait` process tells its caller."""

    OK = 0
    NO = 1  # the answer is no: denied, or a test of the document failed
    USAGE = 2  # bad usage or bad input
    SYSTEM = 3  # the system refused: capability, kernel, device


class KraitError(Exception):
    """Base of every error that reaches a user.

    `message` says what is wrong and where, in one line; `hint` says how to mend it.
    """

    exit_code = ExitCode.SYSTEM

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(KraitError):
    """The command line or its input is wrong; nothing was changed."""

    exit_code = ExitCode.USAGE


class SystemRefused(KraitError):
    """The kernel, a device or a missing capability said no; nothing was changed."""
