# SPDX-License-Identifier: Apache-2.0
"""One load of the object for all scenarios of a session."""

from collections.abc import Iterator

import pytest

from tests.kernel.property.kernel_judge import KernelJudge
from tests.kernel.property.play import Play


@pytest.fixture(scope="session")
def play() -> Iterator[Play]:
    kernel = KernelJudge()
    yield Play(kernel)
    kernel.close()
