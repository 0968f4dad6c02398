# SPDX-License-Identifier: Apache-2.0
"""What a map is made as: type, sizes, flags, name."""

import ctypes
from ctypes import c_char, c_uint32
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from krait.kernel.bpf.syscall import NAME_BYTES, Command, bpf, read_info


class MapType(IntEnum):
    """enum bpf_map_type, as far as Krait uses it."""

    HASH = 1
    ARRAY = 2
    PERCPU_HASH = 5
    PERCPU_ARRAY = 6
    LRU_HASH = 9
    LRU_PERCPU_HASH = 10
    LPM_TRIE = 11
    ARRAY_OF_MAPS = 12


class MapFlag(IntFlag):
    """BPF_F_* of map creation, as far as Krait uses them."""

    NO_PREALLOC = 1 << 0  # what an LPM trie wants
    MMAPABLE = 1 << 10


@dataclass(frozen=True, slots=True)
class MapInfo:
    """What a map is; `type` is a MapType or a number that Krait has no name for."""

    name: str
    type: int
    key_bytes: int
    value_bytes: int
    max_entries: int
    flags: int = 0

    @property
    def per_cpu(self) -> bool:
        """Whether a value is an array with one element for each possible CPU."""
        return self.type in (
            MapType.PERCPU_HASH,
            MapType.PERCPU_ARRAY,
            MapType.LRU_PERCPU_HASH,
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """What a program that uses the map relies on."""
        return self.type, self.key_bytes, self.value_bytes


class _Info(ctypes.Structure):
    _fields_ = (
        ("type", c_uint32),
        ("id", c_uint32),
        ("key_bytes", c_uint32),
        ("value_bytes", c_uint32),
        ("max_entries", c_uint32),
        ("flags", c_uint32),
        ("name", c_char * NAME_BYTES),
    )


class _CreateAttr(ctypes.Structure):
    _fields_ = (
        ("type", c_uint32),
        ("key_bytes", c_uint32),
        ("value_bytes", c_uint32),
        ("max_entries", c_uint32),
        ("flags", c_uint32),
        ("inner_fd", c_uint32),
        ("numa_node", c_uint32),
        ("name", c_char * NAME_BYTES),
    )


def map_info(fd: int) -> MapInfo:
    """What the map behind `fd` was made as."""
    info = _Info()
    read_info(fd, info, "map")
    return MapInfo(
        name=info.name.decode(),
        type=info.type,
        key_bytes=info.key_bytes,
        value_bytes=info.value_bytes,
        max_entries=info.max_entries,
        flags=info.flags,
    )


def create_map(info: MapInfo, *, inner_fd: int = 0) -> int:
    """Make a map; a new descriptor. `inner_fd` is the pattern for the maps in a map of maps."""
    attr = _CreateAttr(
        type=info.type,
        key_bytes=info.key_bytes,
        value_bytes=info.value_bytes,
        max_entries=info.max_entries,
        flags=info.flags,
        inner_fd=inner_fd,
        name=info.name.encode()[: NAME_BYTES - 1],
    )
    return bpf(Command.MAP_CREATE, attr, f"map {info.name}")
