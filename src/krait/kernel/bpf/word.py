# SPDX-License-Identifier: Apache-2.0
"""One u64 that user space and the kernel's programs share through memory."""

import ctypes
import mmap
from typing import Self

from krait.common.errors import SystemRefused
from krait.kernel.bpf.btf import REBUILD
from krait.kernel.bpf.map import Map
from krait.kernel.bpf.mapinfo import MapFlag, MapType


class Word:
    """The only entry of an ARRAY[1] of u64 made with BPF_F_MMAPABLE.

    A program sees an old value or a new one, never a mixture: ctypes stores an aligned c_uint64
    with one instruction, where struct.pack_into writes byte by byte, and bpf(2) copies with no
    promise. The map may be closed meanwhile; the mapping holds it.
    """

    def __init__(self, of: Map) -> None:
        info = of.info
        if info.shape != (MapType.ARRAY, 4, 8) or info.max_entries != 1:
            raise SystemRefused(f"{of} is not an array of one u64: {info}", hint=REBUILD)
        if not info.flags & MapFlag.MMAPABLE:
            raise SystemRefused(f"{of} was not made to be mapped: {info}", hint=REBUILD)
        self._memory = mmap.mmap(of.fd, mmap.PAGESIZE)  # shared, to read and to write
        self._word: ctypes.c_uint64 | None = ctypes.c_uint64.from_buffer(self._memory)

    @property
    def value(self) -> int:
        """Read or stored at once, by one instruction. Raises ValueError once closed."""
        return self._open().value

    @value.setter
    def value(self, value: int) -> None:
        self._open().value = value

    def close(self) -> None:
        """Unmap it; the map and its value stay."""
        self._word = None
        self._memory.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> ctypes.c_uint64:
        if self._word is None:
            raise ValueError("the word is closed")
        return self._word
