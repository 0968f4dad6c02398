# SPDX-License-Identifier: Apache-2.0
"""One release of this checkout, to be installed beside the mesh of the agent's tests."""

import pytest

from tests.netns.agent.conftest import kind, lab, node
from tests.released import Released, release
from tests.requirements import need_tools

__all__ = ["kind", "lab", "node"]  # fixtures


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Released:
    need_tools("clang", "llvm-strip", "dpkg-deb")
    return release(tmp_path_factory.mktemp("dist"))
