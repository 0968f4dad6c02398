# SPDX-License-Identifier: Apache-2.0
"""Waiting until no program run can still hold what it read before."""

from typing import Self

from krait.kernel.bpf.map import Map
from krait.kernel.bpf.mapinfo import MapInfo, MapType

_INDEX = bytes(4)


class ReaderBarrier:
    """Waits for every program run that began before, on any CPU.

    The kernel has no system call for that, but a write into a map of maps waits for one grace
    period before it returns (maybe_wait_bpf_programs() in kernel/bpf/syscall.c), and programs at TC
    run as RCU readers. Two maps of one entry exist for nothing else.
    """

    def __init__(self) -> None:
        self._inner = Map.create(MapInfo("krait_inner", MapType.ARRAY, 4, 4, 1))
        outer = MapInfo("krait_barrier", MapType.ARRAY_OF_MAPS, 4, 4, 1)
        self._outer = Map.create(outer, inner=self._inner)

    def wait(self) -> None:
        """Blocks for some 10 ms, 120 ms at worst: on an event loop, call it in a thread."""
        self._outer.update(_INDEX, self._inner.fd.to_bytes(4, "little"))

    def close(self) -> None:
        """Let both maps go; nothing can wait any more."""
        self._outer.close()
        self._inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
