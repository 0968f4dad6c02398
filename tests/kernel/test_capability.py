# SPDX-License-Identifier: Apache-2.0
"""A process that was started with less than all capabilities."""

import subprocess
import sys

from krait.kernel.capability import NEEDED, require
from tests.requirements import need_tools

need_tools("setpriv")

_REQUIRE = """
from krait.common.errors import SystemRefused
from krait.kernel.capability import NEEDED, require
try:
    require(*NEEDED)
except SystemRefused as refused:
    print(refused.message)
    print(refused.hint)
"""


def test_root_has_what_is_needed() -> None:
    require(*NEEDED)


def test_what_is_missing_is_named_with_the_mend() -> None:
    less = ["setpriv", "--bounding-set", "-bpf,-net_admin", sys.executable, "-c", _REQUIRE]
    said = subprocess.run(less, check=True, capture_output=True, text=True).stdout.splitlines()
    assert said[0] == "this process lacks CAP_NET_ADMIN, CAP_BPF"
    assert "AmbientCapabilities=CAP_NET_ADMIN CAP_BPF CAP_PERFMON" in said[1]
