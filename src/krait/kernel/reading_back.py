# SPDX-License-Identifier: Apache-2.0
"""What a slot of the tables holds, held against what it was meant to: nothing is taken on trust."""

from array import array
from collections.abc import Callable, Mapping
from functools import partial

from krait.common import abi
from krait.common.structs import PREFIX_SLOT_AT
from krait.kernel.bpf.map import Map
from krait.policy.image import ARRAYS, PREFIXES, Image
from krait.policy.pairing import PortList


def differing(
    maps: Mapping[str, Map], slot: int, image: Image, is_over: Callable[[], bool]
) -> tuple[str, ...]:
    """The tables whose part of a slot is not as `image` has it, by all of their entries.

    Ends early, with none, once `is_over`. From any thread, while nobody writes the slot.
    """
    comparisons: dict[str, Callable[[], bool]] = {}
    for name in ARRAYS:
        wanted = image.arrays.get(name, b"")
        comparisons[name] = partial(_holds_array, maps[name], slot, wanted, is_over)
    for name in PREFIXES:
        prefixes = image.prefixes[name]
        comparisons[name] = partial(_holds_prefixes, maps[name], slot, prefixes, is_over)
    comparisons["ports"] = partial(_holds_lists, maps["ports"], image.lists, is_over)
    found = tuple(name for name, holds in comparisons.items() if not (is_over() or holds()))
    return () if is_over() else found


def _holds_array(table: Map, slot: int, wanted: bytes, is_over: Callable[[], bool]) -> bool:
    length = table.info.value_bytes * (table.info.max_entries // abi.SLOTS)
    begin, end, at = slot * length, (slot + 1) * length, 0
    for _, values in table.items():  # noqa: PERF102 - a map, not a dict
        low, high = max(at, begin), min(at + len(values), end)
        if low < high:
            meant = wanted[low - begin : high - begin].ljust(high - low, b"\0")
            if values[low - at : high - at] != meant:
                return False
        at += len(values)
        if is_over():
            break
    return True


def _holds_prefixes(
    table: Map, slot: int, wanted: Mapping[bytes, int], is_over: Callable[[], bool]
) -> bool:
    size, there = table.info.key_bytes, {}
    for keys, values in table.items():
        for i, number in enumerate(array("I", values)):
            key = keys[i * size : (i + 1) * size]
            if key[PREFIX_SLOT_AT] == slot:
                there[_without_slot(key)] = number
        if is_over():
            return True
    return there == {_without_slot(key): number for key, number in wanted.items()}


def _without_slot(key: bytes) -> bytes:
    return key[:PREFIX_SLOT_AT] + key[PREFIX_SLOT_AT + 1 :]


def _holds_lists(table: Map, wanted: Mapping[PortList, int], is_over: Callable[[], bool]) -> bool:
    there = array("Q")
    for _, values in table.items():  # noqa: PERF102 - a map, not a dict
        there.frombytes(values)
        if is_over():
            return True
    return all(
        tuple(there[offset : offset + len(ports)]) == tuple(ports)
        for ports, offset in wanted.items()
    )
