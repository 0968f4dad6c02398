# SPDX-License-Identifier: Apache-2.0
"""What tests against the running kernel share: a network namespace of their own."""

import ctypes
import os
from collections.abc import Iterator

import pytest

_LIBC = ctypes.CDLL(None, use_errno=True)
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET


def _must(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@pytest.fixture
def netns() -> Iterator[None]:
    """The test runs in a new network namespace, which ends with it and with what it started."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _must(_LIBC.unshare(_NEW_NETWORK))
        try:
            yield
        finally:
            _must(_LIBC.setns(home, _NEW_NETWORK))
    finally:
        os.close(home)
