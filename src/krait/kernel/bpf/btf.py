# SPDX-License-Identifier: Apache-2.0
"""What the object's BTF says of its types, and whether Python's mirror of them agrees.

Kinds and layouts are those of include/uapi/linux/btf.h.
"""

import ctypes
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from krait.common.errors import SystemRefused
from krait.common.layout import Layout
from krait.kernel.bpf.libbpf import libbpf, success

REBUILD = "The object and this version of Krait do not belong together: build both anew."


class Kind(IntEnum):
    """The kinds of type that Krait looks at; BTF_KIND_*."""

    ARRAY = 3
    STRUCT = 4
    ENUM = 6
    DATASEC = 15


@dataclass(frozen=True, slots=True)
class Field:
    """A member of a struct or a variable of a section."""

    offset_bytes: int
    size_bytes: int
    type_id: int


class _Type(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_uint32),
        ("info", ctypes.c_uint32),  # count:16, unused:8, kind:5, unused:2, flag:1
        ("size_or_type", ctypes.c_uint32),
    )


class _Member(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
        ("offset", ctypes.c_uint32),  # in bits; with the struct's flag, bitfield size:8 offset:24
    )


class _Enumerator(ctypes.Structure):
    _fields_ = (("name", ctypes.c_uint32), ("value", ctypes.c_int32))


class _Variable(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("offset", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
    )


class _Array(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("index_type", ctypes.c_uint32),
        ("count", ctypes.c_uint32),
    )


class Btf:
    """The types of an open object, which must outlive this."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def struct(self, tag: str) -> tuple[int, dict[str, Field]] | None:
        """The size in bytes and the members, in order; None if there is no such struct."""
        type_id = self._find(tag, Kind.STRUCT)
        if type_id is None:
            return None
        members: dict[str, Field] = {}
        for member in self._entries(type_id, _Member):
            offset_bytes, bits = divmod(member.offset, 8)
            # A bitfield lies at no byte: its offset comes out absurd, and no layout matches it.
            size = self._size(member.type) if not bits else -1
            members[self._name(member.name)] = Field(offset_bytes, size, member.type)
        return self._type(type_id).size_or_type, members

    def enum(self, tag: str) -> dict[str, int] | None:
        """Its names and numbers; None if there is no such enum."""
        type_id = self._find(tag, Kind.ENUM)
        if type_id is None:
            return None
        return {
            self._name(entry.name): entry.value for entry in self._entries(type_id, _Enumerator)
        }

    def variables(self, section: str) -> dict[str, Field]:
        """The variables of a data section such as `.rodata`; none if there is no such section."""
        type_id = self._find(section, Kind.DATASEC)
        if type_id is None:
            return {}
        return {
            self._name(self._type(entry.type).name): Field(entry.offset, entry.size, entry.type)
            for entry in self._entries(type_id, _Variable)
        }

    def length(self, type_id: int) -> int | None:
        """How many elements the variable or type has if it is an array."""
        resolved = success(libbpf().btf__resolve_type(self._handle, type_id), "BTF", "resolve type")
        if self._type(resolved).info >> 24 & 0x1F != Kind.ARRAY:
            return None
        count: int = _Array.from_address(self._address(resolved) + ctypes.sizeof(_Type)).count
        return count

    def _find(self, name: str, kind: Kind) -> int | None:
        found: int = libbpf().btf__find_by_name_kind(self._handle, name.encode(), kind)
        return found if found > 0 else None

    def _address(self, type_id: int) -> int:
        address: int = libbpf().btf__type_by_id(self._handle, type_id)
        return address

    def _type(self, type_id: int) -> _Type:
        return _Type.from_address(self._address(type_id))

    def _entries(self, type_id: int, entry: type[ctypes.Structure]) -> "Iterator[ctypes.Structure]":
        count = self._type(type_id).info & 0xFFFF
        return iter((entry * count).from_address(self._address(type_id) + ctypes.sizeof(_Type)))

    def _name(self, offset: int) -> str:
        name: bytes = libbpf().btf__name_by_offset(self._handle, offset)
        return name.decode()

    def _size(self, type_id: int) -> int:
        return success(libbpf().btf__resolve_size(self._handle, type_id), "BTF", "resolve size")


def check_layouts(btf: Btf, layouts: Iterable[Layout]) -> None:
    """Raise SystemRefused, naming every difference, unless the object's structs are `layouts`.

    Same members, offsets and sizes, and the same size of the whole, so that no padding hides.
    """
    _refuse([line for layout in layouts for line in _layout_differences(btf, layout)])


def check_enum(btf: Btf, tag: str, numbers: Mapping[str, int]) -> None:
    """Raise SystemRefused, naming every difference, unless enum `tag` is exactly `numbers`."""
    found = btf.enum(tag)
    if found is None:
        _refuse([f"enum {tag} is missing from the object"])
    else:
        _refuse(list(_differences(f"{tag}.", found, numbers)))


def _layout_differences(btf: Btf, layout: Layout) -> Iterator[str]:
    found = btf.struct(layout.tag)
    if found is None:
        yield f"struct {layout.tag} is missing from the object"
        return
    size_bytes, members = found
    theirs = {name: _place(field.offset_bytes, field.size_bytes) for name, field in members.items()}
    ours = {name: _place(*place) for name, place in layout.offsets().items()}
    yield from _differences(f"{layout.tag}.", theirs, ours)
    if size_bytes != layout.size_bytes:
        yield f"{layout.tag} has {size_bytes} bytes in the object, {layout.size_bytes} here"


def _place(offset_bytes: int, size_bytes: int) -> str:
    return f"{size_bytes} bytes at {offset_bytes}"


def _differences(
    prefix: str, found: Mapping[str, object], expected: Mapping[str, object]
) -> Iterator[str]:
    for name in {**found, **expected}:
        theirs, ours = found.get(name, "missing"), expected.get(name, "missing")
        if theirs != ours:
            yield f"{prefix}{name} is {theirs} in the object, {ours} here"


def _refuse(differences: list[str]) -> None:
    if differences:
        raise SystemRefused("; ".join(differences), hint=REBUILD)
