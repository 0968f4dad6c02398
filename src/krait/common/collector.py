# SPDX-License-Identifier: Apache-2.0
"""The cyclic garbage collector, kept from walking a large mesh again and again.

A document of 10,000 nodes is a million values that hold no cycles. Looking for some while it is
read took three quarters of the time, and looking again later, at any moment, tenths of a second.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_MUCH = 10_000
"""So many new containers, lists and such, would be felt by whoever is interrupted to walk them."""


_lock = Lock()
_inside = 0
"""How many pauses go on now, of all threads: the last to end has it go on."""
_is_to_sweep = False
"""Whether any of them was to sweep: the last to end does."""


@contextmanager
def paused(*, then_sweep: bool = False) -> Iterator[None]:
    """No collection inside. If much was made there, what is left of it is not walked again.

    It is freed as ever once nobody refers to it, but for cycles: a process that goes on for long
    sweeps, which walks everything once, cycles of earlier times included. Of pauses at the same
    time or one in the other, one that is to sweep is enough, and the last to end does it for all.
    """
    if not (_inside or gc.isenabled()):
        yield
        return
    _enter()
    try:
        yield
    finally:
        _leave(then_sweep)


def _enter() -> None:
    global _inside
    with _lock:
        _inside += 1
        gc.disable()


def _leave(then_sweep: bool) -> None:
    global _inside, _is_to_sweep
    with _lock:
        _inside -= 1
        _is_to_sweep = _is_to_sweep or then_sweep
        if _inside:
            return
        sweeps, _is_to_sweep = _is_to_sweep, False
        if len(gc.get_objects(generation=0)) > _MUCH:
            if sweeps:
                gc.unfreeze()
                gc.collect()
            gc.freeze()
        gc.enable()
