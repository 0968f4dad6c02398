# SPDX-License-Identifier: Apache-2.0
"""An object file of BPF programs: opened, shaped, loaded into the kernel.

The order is open, set constants, sizes and maps to reuse, load. A load that fails leaves nothing
behind.
"""

import ctypes
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from krait.common.errors import SystemRefused
from krait.kernel.bpf.btf import REBUILD, Btf
from krait.kernel.bpf.libbpf import libbpf, pointer, success
from krait.kernel.bpf.map import Map
from krait.kernel.bpf.mapinfo import MapInfo, map_info

_CONSTANTS = ".rodata"
_STATISTICS = 4  # BPF_LOG_STATS: what the verifier did, without the program's text
_STATISTICS_BYTES = 1 << 16


class BpfObject:
    """Owns what it loaded: close() closes its maps and programs, which pins and links outlive."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self.maps: dict[str, Map] = {}
        """By the name they have in the source; empty until load()."""
        self.programs: dict[str, int] = {}
        """Descriptors by the name of the function; empty until load()."""
        self._handle = handle
        self._maps = {_name(m, "map"): m for m in _each(handle, "map")}

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the file; nothing is in the kernel yet."""
        handle = libbpf().bpf_object__open_file(os.fsencode(path), None)
        return cls(path, pointer(handle, path, "open"))

    @property
    def btf(self) -> Btf:
        """The object's types; valid until close()."""
        return Btf(pointer(libbpf().bpf_object__btf(self._handle), self.path, "read BTF"))

    def set_constant(self, name: str, value: int | Sequence[int]) -> None:
        """Give a `const volatile` variable its value, an array one integer for each element."""
        field = self.btf.variables(_CONSTANTS).get(name)
        if field is None:
            raise SystemRefused(f"{self.path} has no constant `{name}`", hint=REBUILD)
        length = self.btf.length(field.type_id)
        values = [value] if isinstance(value, int) else list(value)
        if len(values) != (length or 1) or (length is None) != isinstance(value, int):
            raise ValueError(f"constant {name} wants {length or 'no'} elements, not {value!r}")
        width = field.size_bytes // len(values)
        packed = b"".join(v.to_bytes(width, "little", signed=v < 0) for v in values)
        section = next(m for key, m in self._maps.items() if key.endswith(_CONSTANTS))
        size = ctypes.c_size_t()
        start = pointer(
            libbpf().bpf_map__initial_value(section, ctypes.byref(size)),
            self.path,
            "read constants",
        )
        if field.offset_bytes + field.size_bytes > size.value:
            raise SystemRefused(
                f"{self.path} is damaged: `{name}` lies outside {_CONSTANTS}", hint=REBUILD
            )
        ctypes.memmove(start + field.offset_bytes, packed, len(packed))

    def resize(self, name: str, max_entries: int) -> None:
        """Let load() make the map with room for `max_entries`."""
        result = libbpf().bpf_map__set_max_entries(self._map(name), max_entries)
        success(result, f"{self.path}: map {name}", "resize")

    def reuse(self, name: str, fd: int) -> None:
        """Let load() use the map behind `fd`, which stays the caller's, instead of a new one.

        It may have another size, but not another type, key, value or flags: SystemRefused.
        """
        found, wanted = map_info(fd), self._declared(name)
        if (found.shape, found.flags) != (wanted.shape, wanted.flags):
            raise SystemRefused(f"map {name} cannot be used again: it is {found}", hint=REBUILD)
        success(libbpf().bpf_map__reuse_fd(self._map(name), fd), f"map {name}", "reuse")

    def load(self) -> None:
        """Make the maps and let the verifier judge the programs; fills `maps` and `programs`.

        Raises BpfRefused with the end of the verifier's log.
        """
        success(libbpf().bpf_object__load(self._handle), self.path, "load")
        for name, handle in self._maps.items():
            if not libbpf().bpf_map__is_internal(handle):
                self.maps[name] = Map(os.dup(libbpf().bpf_map__fd(handle)))
        for program in _each(self._handle, "program"):
            self.programs[_name(program, "program")] = libbpf().bpf_program__fd(program)

    def load_measured(self) -> dict[str, str]:
        """load(), and the verifier's statistics of each program, by the name of its function.

        They tell the instructions walked and the stack used, in the words of the running kernel.
        """
        buffers = {}
        for program in _each(self._handle, "program"):
            buffer = ctypes.create_string_buffer(_STATISTICS_BYTES)
            for result in (
                libbpf().bpf_program__set_log_level(program, _STATISTICS),
                libbpf().bpf_program__set_log_buf(program, buffer, _STATISTICS_BYTES),
            ):
                success(result, self.path, "ask for statistics")
            buffers[_name(program, "program")] = buffer
        self.load()
        return {name: buffer.value.decode(errors="replace") for name, buffer in buffers.items()}

    def close(self) -> None:
        """Closes its maps and programs, too: what is to outlive it was duplicated before."""
        handle, self._handle = self._handle, 0
        if handle:
            for loaded in self.maps.values():
                loaded.close()
            self.programs.clear()
            libbpf().bpf_object__close(handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _map(self, name: str) -> int:
        if name not in self._maps:
            raise SystemRefused(f"{self.path} has no map `{name}`", hint=REBUILD)
        return self._maps[name]

    def _declared(self, name: str) -> MapInfo:
        library, handle = libbpf(), self._map(name)
        return MapInfo(
            name=name,
            type=library.bpf_map__type(handle),
            key_bytes=library.bpf_map__key_size(handle),
            value_bytes=library.bpf_map__value_size(handle),
            max_entries=library.bpf_map__max_entries(handle),
            flags=library.bpf_map__map_flags(handle),
        )


def _each(handle: int, what: str) -> Iterator[int]:
    following = getattr(libbpf(), f"bpf_object__next_{what}")
    found = following(handle, None)
    while found:
        yield found
        found = following(handle, found)


def _name(handle: int, what: str) -> str:
    name: bytes = getattr(libbpf(), f"bpf_{what}__name")(handle)
    return name.decode()
