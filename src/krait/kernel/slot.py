# SPDX-License-Identifier: Apache-2.0
"""One slot of the tables: brought to an image, and what can be read back of it.

Both slots lie in the same tables, a slot's entries of an array together; of a prefix's key the slot
is one byte. Port lists are shared by both.
"""

from array import array
from collections.abc import Iterator, Mapping

from krait.common import abi, structs
from krait.common.structs import PREFIX_SLOT_AT
from krait.kernel.bpf.map import Map
from krait.policy.image import ARRAYS, PREFIXES, Image
from krait.policy.pairing import PortList

_UNKNOWN = -1  # no principal's number, nor nobody's


def write_slot(
    maps: Mapping[str, Map],
    slot: int,
    image: Image,
    *,
    known: Image | None,
    held: Mapping[PortList, int],
) -> None:
    """Bring a slot that no packet reads to `image`.

    `known` is what it holds now, None if that is not known; `held` are the port lists of the slot
    in force, which are there already.
    """
    new_lists = {ports: at for ports, at in image.lists.items() if held.get(ports) != at}
    for ports, offset in new_lists.items():
        keys = array("I", range(offset, offset + len(ports))).tobytes()
        maps["ports"].update_batch(keys, array("Q", ports).tobytes(), len(ports))
    for name in ARRAYS:
        old = known.arrays.get(name, b"") if known else None
        _write_array(maps[name], name, slot, image.arrays.get(name, b""), old)
    for name in PREFIXES:
        _write_prefixes(
            maps[name], slot, image.prefixes[name], known.prefixes[name] if known else None
        )


def read_lists(maps: Mapping[str, Map], slot: int) -> dict[PortList, int]:
    """The port lists that a slot's pairs use, with their places."""
    intervals = array("Q", b"".join(values for _, values in maps["ports"].items()))
    references = {
        reference
        for name in ("pair", "shadow_pair")
        for *_, first, second in structs.PAIR.codec.iter_unpack(_part(maps[name], slot))
        for reference in (first, second)
        if reference
    }
    found = {}
    for reference in references:
        offset, length = divmod(reference, 1 << abi.LIST_LENGTH_BITS)
        found[tuple(intervals[offset : offset + length])] = offset
    return found


def is_armed(maps: Mapping[str, Map], slot: int) -> bool:
    """Whether a policy is in the slot; without one every packet drops."""
    packed = maps["self"].lookup(slot.to_bytes(4, "little")) or b""
    fields = dict(zip(structs.SELF.offsets(), structs.SELF.codec.unpack(packed), strict=True))
    return bool(fields["flags"] & abi.SelfFlag.ARMED)


def _part(table: Map, slot: int) -> bytes:
    """A slot's values of an array."""
    values = b"".join(values for _, values in table.items())
    length = len(values) // abi.SLOTS
    return values[slot * length : (slot + 1) * length]


def _write_array(table: Map, name: str, slot: int, new: bytes, old: bytes | None) -> None:
    size, stride = table.info.value_bytes, table.info.max_entries // abi.SLOTS
    if len(new) > stride * size:
        raise ValueError(f"{name}: {len(new) // size} entries in a slot of {stride}")
    length = stride * size if old is None else max(len(new), len(old))
    new = new.ljust(length, b"\0")
    for start, end in _differences(new, old, size):
        first = slot * stride + start // size
        count = (end - start) // size
        keys = array("I", range(first, first + count)).tobytes()
        table.update_batch(keys, memoryview(new)[start:end], count)


def _write_prefixes(
    table: Map, slot: int, new: Mapping[bytes, int], old: Mapping[bytes, int] | None
) -> None:
    if old is None:
        old = dict.fromkeys(_prefix_keys(table, slot), _UNKNOWN)
    gone = b"".join(_in_slot(key, slot) for key in old.keys() - new.keys())
    table.delete_batch(gone, len(gone) // table.info.key_bytes)
    fresh = [(key, number) for key, number in new.items() if old.get(key) != number]
    keys = b"".join(_in_slot(key, slot) for key, _ in fresh)
    values = array("I", (number for _, number in fresh)).tobytes()
    table.update_batch(keys, values, len(fresh))


def _prefix_keys(table: Map, slot: int) -> Iterator[bytes]:
    size = table.info.key_bytes
    for keys, _ in table.items():  # noqa: PERF102 - a map, not a dict
        for at in range(0, len(keys), size):
            key = keys[at : at + size]
            if key[PREFIX_SLOT_AT] == slot:
                yield _in_slot(key, 0)


def _in_slot(key: bytes, slot: int) -> bytes:
    return key[:PREFIX_SLOT_AT] + bytes((slot,)) + key[PREFIX_SLOT_AT + 1 :]


def _differences(new: bytes, old: bytes | None, size: int) -> Iterator[tuple[int, int]]:
    """The stretches of `new`, in whole entries, that differ from `old`; all of it if None."""
    if old is None:
        if new:
            yield 0, len(new)
        return
    old = old.ljust(len(new), b"\0")
    step = size * 64
    start = None
    for at in range(0, len(new), step):
        if new[at : at + step] != old[at : at + step]:
            start = at if start is None else start
        elif start is not None:
            yield start, at
            start = None
    if start is not None:
        yield start, len(new)
