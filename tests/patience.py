# SPDX-License-Identifier: Apache-2.0
"""How tests wait: long for what should happen, and never by sleeping for what should not.

A machine may be slow, and one test that fails by chance refuses everything. So that something does
not happen is known by something that happens later or instead: a counter moves, a flow goes on.
"""

import time
from collections.abc import Callable

from krait.lab.machine import patient, unhurried

PATIENCE_S = patient(150.0)
_POLL_S = unhurried(0.02, 0.5)


def wait_until(condition: Callable[[], object], found: Callable[[], object] | None = None) -> None:
    """Until the condition holds; fails after PATIENCE_S, with what `found` then answers."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, found() if found else f"not in {PATIENCE_S:g} s"
        time.sleep(_POLL_S)
