# SPDX-License-Identifier: Apache-2.0
"""A BPF map: entries one by one, or packed and many at a time.

Keys and values are bytes as the kernel sees them; what they mean is krait.common.structs' matter.
A value of a per-CPU map is all CPUs' copies, each rounded up to eight bytes (see `percpu`).
"""

import ctypes
import errno
from collections.abc import Iterator, Sequence
from ctypes import (
    addressof,
    c_char,
    c_char_p,
    c_uint32,
    c_uint64,
    c_void_p,
    create_string_buffer,
    string_at,
)
from functools import cached_property
from typing import Self, TypeAlias

from krait.kernel.bpf.descriptor import Descriptor
from krait.kernel.bpf.errors import ENOTSUPP, BpfRefused, MapFull
from krait.kernel.bpf.mapinfo import MapInfo, create_map, map_info
from krait.kernel.bpf.percpu import Fold, fold_words, possible_cpus, stride_bytes
from krait.kernel.bpf.pin import Kind
from krait.kernel.bpf.syscall import Command, bpf

CHUNK = 4096
"""Entries in one system call: more are not faster, and each holds a lock or a CPU longer."""

Packed: TypeAlias = bytes | bytearray | memoryview
"""Entries one after the other, without padding in between."""


class _ElementAttr(ctypes.Structure):
    _fields_ = (
        ("map_fd", c_uint32),
        ("key", c_char_p),
        ("value", c_void_p),
        ("flags", c_uint64),
    )


class _BatchAttr(ctypes.Structure):
    _fields_ = (
        ("resume_from", c_void_p),
        ("resume_at", c_void_p),
        ("keys", c_void_p),
        ("values", c_void_p),
        ("count", c_uint32),  # in: how many; out: how many were done
        ("map_fd", c_uint32),
        ("element_flags", c_uint64),
        ("flags", c_uint64),
    )


class Map(Descriptor):
    """A map by its descriptor, which it owns. Calls may come from several threads."""

    kind = Kind.MAP

    @classmethod
    def create(cls, info: MapInfo, *, inner: "Map | None" = None) -> Self:
        """A new map; `inner` is the pattern for the maps in a map of maps."""
        return cls(create_map(info, inner_fd=inner.fd if inner else 0))

    @cached_property
    def info(self) -> MapInfo:
        """As the kernel knows it, the name cut to 15 characters."""
        return map_info(self.fd)

    @cached_property
    def value_bytes(self) -> int:
        """What lookup() returns and update() takes; on a per-CPU map all copies."""
        if self.info.per_cpu:
            return stride_bytes(self.info.value_bytes) * possible_cpus()
        return self.info.value_bytes

    def __str__(self) -> str:
        return f"map {self.info.name}"

    def lookup(self, key: bytes) -> bytes | None:
        """The value, None if there is none. In an LPM trie: of the longest prefix that matches."""
        value = create_string_buffer(self.value_bytes)
        attr = self._element(key, addressof(value))
        try:
            bpf(Command.MAP_LOOKUP_ELEM, attr, self)
        except BpfRefused as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        return value.raw

    def update(self, key: bytes, value: bytes) -> None:
        """Write one entry, new or not; MapFull if it does not fit."""
        _check_size(value, self.value_bytes, "value")
        buffer = create_string_buffer(value, len(value))
        try:
            bpf(Command.MAP_UPDATE_ELEM, self._element(key, addressof(buffer)), self)
        except BpfRefused as error:
            raise self._full(error) from None

    def delete(self, key: bytes) -> None:
        """Take one entry away; that it was not there is no error."""
        try:
            bpf(Command.MAP_DELETE_ELEM, self._element(key), self)
        except BpfRefused as error:
            if error.errno != errno.ENOENT:
                raise

    def update_batch(self, keys: Packed, values: Packed, count: int) -> None:
        """Write `count` packed entries in order; after MapFull the first of them are written."""
        key_bytes, value_bytes = self.info.key_bytes, self.value_bytes
        _check_size(keys, count * key_bytes, "keys")
        _check_size(values, count * value_bytes, "values")
        for start in range(0, count, CHUNK):
            part = min(CHUNK, count - start)
            some_keys = _chunk(keys, start * key_bytes, part * key_bytes)
            some_values = _chunk(values, start * value_bytes, part * value_bytes)
            attr = _BatchAttr(
                keys=addressof(some_keys),
                values=addressof(some_values),
                count=part,
                map_fd=self.fd,
            )
            try:
                bpf(Command.MAP_UPDATE_BATCH, attr, self)
            except BpfRefused as error:
                if error.errno != ENOTSUPP:
                    raise self._full(error) from None
                entries = zip(
                    _split(some_keys, key_bytes), _split(some_values, value_bytes), strict=True
                )
                for key, value in entries:
                    self.update(key, value)

    def delete_batch(self, keys: Packed, count: int) -> None:
        """Take `count` entries away; what was not there is no error."""
        key_bytes = self.info.key_bytes
        _check_size(keys, count * key_bytes, "keys")
        start = 0
        while start < count:
            part = min(CHUNK, count - start)
            some_keys = _chunk(keys, start * key_bytes, part * key_bytes)
            attr = _BatchAttr(keys=addressof(some_keys), count=part, map_fd=self.fd)
            try:
                bpf(Command.MAP_DELETE_BATCH, attr, self)
            except BpfRefused as error:
                if error.errno == errno.ENOENT:
                    part = attr.count + 1  # it stopped at a key that was not there: go on behind
                elif error.errno == ENOTSUPP:
                    for key in _split(some_keys, key_bytes):
                        self.delete(key)
                else:
                    raise
            start += part

    def items(self, chunk: int = CHUNK) -> Iterator[tuple[bytes, bytes]]:
        """All entries as (packed keys, packed values), about `chunk` of them at a time.

        An entry that comes or goes meanwhile may be seen or not; the others are seen once.
        """
        key_bytes, value_bytes = self.info.key_bytes, self.value_bytes
        position = create_string_buffer(max(key_bytes, ctypes.sizeof(c_uint64)))
        resume_from, ended = None, False
        while not ended:
            keys = create_string_buffer(chunk * key_bytes)
            values = create_string_buffer(chunk * value_bytes)
            attr = _BatchAttr(
                resume_from=resume_from,
                resume_at=addressof(position),
                keys=addressof(keys),
                values=addressof(values),
                count=chunk,
                map_fd=self.fd,
            )
            try:
                bpf(Command.MAP_LOOKUP_BATCH, attr, self)
            except BpfRefused as error:
                if error.errno == errno.ENOSPC:  # a hash bucket is longer than the chunk
                    chunk *= 2
                    continue
                if error.errno == ENOTSUPP:
                    yield from self._walk()
                    return
                if error.errno != errno.ENOENT:
                    raise
                ended = True
            if attr.count:
                yield (
                    string_at(keys, attr.count * key_bytes),
                    string_at(values, attr.count * value_bytes),
                )
            resume_from = addressof(position)

    def lookup_percpu(self, key: bytes) -> list[bytes] | None:
        """Each possible CPU's copy of a per-CPU value, None if there is no such entry."""
        value = self.lookup(key)
        if value is None:
            return None
        size, stride = self.info.value_bytes, stride_bytes(self.info.value_bytes)
        return [value[at : at + size] for at in range(0, len(value), stride)]

    def folded(self, folds: Sequence[Fold]) -> list[tuple[int, ...]]:
        """A whole per-CPU array of u64 words, by index: all CPUs' copies made one.

        `folds` has one for each word.
        """
        if stride_bytes(self.info.value_bytes) != 8 * len(folds):
            raise ValueError(f"{self} has values of {self.info.value_bytes} bytes")
        return [
            each
            for _, values in self.items()
            for each in fold_words(values, folds, possible_cpus())
        ]

    def _walk(self) -> Iterator[tuple[bytes, bytes]]:
        """items() one by one, for map types and kernels (LPM before 5.13) that know no batches."""
        following = create_string_buffer(self.info.key_bytes)
        attr = _ElementAttr(map_fd=self.fd, value=addressof(following))
        while True:
            try:
                bpf(Command.MAP_GET_NEXT_KEY, attr, self)
            except BpfRefused as error:
                if error.errno == errno.ENOENT:
                    return
                raise
            attr.key = key = following.raw
            value = self.lookup(key)
            if value is not None:
                yield key, value

    def _element(self, key: bytes, value: int | None = None) -> _ElementAttr:
        _check_size(key, self.info.key_bytes, "key")
        return _ElementAttr(map_fd=self.fd, key=key, value=value)

    def _full(self, error: BpfRefused) -> BpfRefused:
        """`error`, told better where it means that there is no room: E2BIG, of a trie ENOSPC."""
        if error.errno not in (errno.E2BIG, errno.ENOSPC):
            return error
        return MapFull(
            f"{self} is full: it has room for {self.info.max_entries} entries",
            errno=error.errno,
            hint="The policy in force stays. Write it with fewer rules, ports or prefixes, or "
            "start the agent anew: it makes its tables to measure.",
        )


def _check_size(packed: Packed, size_bytes: int, what: str) -> None:
    # The kernel reads as much as the map's sizes say, whatever was meant.
    found = memoryview(packed).nbytes
    if found != size_bytes:
        raise ValueError(f"{what}: {found} bytes where the map wants {size_bytes}")


def _chunk(packed: Packed, start_bytes: int, size_bytes: int) -> "ctypes.Array[c_char]":
    return (c_char * size_bytes).from_buffer_copy(packed, start_bytes)


def _split(chunk: "ctypes.Array[c_char]", size_bytes: int) -> Iterator[bytes]:
    packed = chunk.raw
    return (packed[at : at + size_bytes] for at in range(0, len(packed), size_bytes))
