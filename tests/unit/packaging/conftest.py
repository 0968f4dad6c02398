# SPDX-License-Identifier: Apache-2.0
"""One release of this checkout for all tests here."""

import pytest

from tests.released import Released, release
from tests.requirements import need_tools


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Released:
    need_tools("clang", "llvm-strip", "dpkg-deb")
    return release(tmp_path_factory.mktemp("dist"))
