# SPDX-License-Identifier: Apache-2.0
"""What tests of one machine have to share, also with those of another run."""

import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest

_LOCK = Path("/run/lock/krait-tests-keepers")


@pytest.fixture(scope="module")
def no_other_keepers() -> Iterator[None]:
    """`krait demo --down` takes down all that is kept on the machine: one test at a time does."""
    with _LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
