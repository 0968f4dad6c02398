# SPDX-License-Identifier: Apache-2.0
import errno
from collections.abc import Iterable, Iterator

import pytest

from krait.kernel.bpf.errors import BpfRefused, MapFull
from krait.kernel.bpf.map import CHUNK, Map
from krait.kernel.bpf.mapinfo import MapFlag, MapInfo, MapType
from krait.kernel.bpf.percpu import possible_cpus

DEVMAP_HASH = 25  # a type that the kernel knows no batches for
LOOPBACK = (1).to_bytes(4, "little")
MANY = 2 * CHUNK + 17  # three system calls, the last one short

HASH = MapInfo("hash", MapType.HASH, 4, 8, MANY)
ARRAY = MapInfo("array", MapType.ARRAY, 4, 8, MANY)
LPM = MapInfo("lpm", MapType.LPM_TRIE, 8, 8, MANY, MapFlag.NO_PREALLOC)


def key(index: int, like: MapInfo = HASH) -> bytes:
    prefix = (32).to_bytes(4, "little") if like.type == MapType.LPM_TRIE else b""
    return prefix + index.to_bytes(4, "little")


def value(index: int) -> bytes:
    return (index * 0x0101010101).to_bytes(8, "little")


def packed(indices: Iterable[int], like: MapInfo = HASH) -> tuple[bytes, bytes]:
    numbers = list(indices)
    return b"".join(key(i, like) for i in numbers), b"".join(map(value, numbers))


def contents(of: Map, chunk: int = CHUNK) -> dict[bytes, bytes]:
    """All entries, each of which items() must hand out once."""
    size, found = of.info.key_bytes, {}
    for keys, values in of.items(chunk):
        for at in range(len(keys) // size):
            entry = keys[at * size : (at + 1) * size]
            assert entry not in found
            found[entry] = values[at * 8 : (at + 1) * 8]
    return found


@pytest.fixture
def table(request: pytest.FixtureRequest) -> Iterator[Map]:
    with Map.create(getattr(request, "param", HASH)) as made:
        yield made


def test_an_entry_is_written_read_and_taken_away(table: Map) -> None:
    assert table.lookup(key(1)) is None
    table.update(key(1), value(1))
    assert table.lookup(key(1)) == value(1)
    table.delete(key(1))
    assert table.lookup(key(1)) is None


def test_taking_away_what_is_not_there_is_no_error(table: Map) -> None:
    table.delete(key(1))
    table.delete_batch(key(1) + key(2), 2)


@pytest.mark.parametrize("table", [HASH, ARRAY, LPM], indirect=True, ids=lambda info: info.name)
def test_what_is_written_in_bulk_is_read_back_in_bulk(table: Map) -> None:
    keys, values = packed(range(MANY), table.info)
    table.update_batch(keys, values, MANY)
    assert contents(table) == {key(i, table.info): value(i) for i in range(MANY)}


@pytest.mark.parametrize("memory", [bytes, bytearray, memoryview])
def test_any_packed_memory_will_do(table: Map, memory: type) -> None:
    keys, values = packed(range(CHUNK + 1))
    table.update_batch(memory(keys), memory(values), CHUNK + 1)
    assert len(contents(table)) == CHUNK + 1


def test_a_part_of_larger_memory_will_do(table: Map) -> None:
    keys, values = packed(range(3))
    table.update_batch(memoryview(keys)[4:], memoryview(values)[8:], 2)
    assert contents(table) == {key(1): value(1), key(2): value(2)}


@pytest.mark.parametrize("table", [HASH, LPM], indirect=True, ids=lambda info: info.name)
def test_missing_entries_do_not_keep_the_others_from_being_taken_away(table: Map) -> None:
    even, values = packed(range(0, MANY, 2), table.info)
    table.update_batch(even, values, len(values) // 8)
    all_but_last, _ = packed(range(MANY - 1), table.info)
    table.delete_batch(all_but_last, MANY - 1)
    assert contents(table) == {key(MANY - 1, table.info): value(MANY - 1)}


def test_buckets_longer_than_the_chunk_are_read_whole(table: Map) -> None:
    keys, values = packed(range(1000))
    table.update_batch(keys, values, 1000)
    assert len(contents(table, chunk=1)) == 1000


def test_an_empty_map_has_no_entries(table: Map) -> None:
    assert contents(table) == {}


@pytest.mark.parametrize("table", [HASH, ARRAY, LPM], indirect=True, ids=lambda info: info.name)
def test_a_full_map_is_told_by_name_and_capacity(table: Map) -> None:
    keys, values = packed(range(MANY + 1), table.info)
    with pytest.raises(MapFull) as in_bulk:
        table.update_batch(keys, values, MANY + 1)
    with pytest.raises(MapFull) as alone:
        table.update(key(MANY, table.info), value(MANY))
    for told in (in_bulk.value, alone.value):
        assert told.message == f"map {table.info.name} is full: it has room for {MANY} entries"
        assert told.hint
    assert len(contents(table)) == MANY


@pytest.mark.parametrize(
    "table", [MapInfo("devices", DEVMAP_HASH, 4, 4, 16)], indirect=True, ids=["devmap"]
)
def test_a_map_that_knows_no_batches_is_written_and_read_one_by_one(table: Map) -> None:
    keys = b"".join(key(i) for i in range(5))
    table.update_batch(keys, LOOPBACK * 5, 5)
    assert sorted(table.items()) == [(key(i), LOOPBACK) for i in range(5)]
    table.delete_batch(keys[8:], 3)
    assert sorted(table.items()) == [(key(i), LOOPBACK) for i in range(2)]


def test_memory_that_is_not_as_long_as_the_map_wants_is_refused(table: Map) -> None:
    with pytest.raises(ValueError, match="key: 3 bytes where the map wants 4"):
        table.lookup(b"123")
    with pytest.raises(ValueError, match="value: 9 bytes where the map wants 8"):
        table.update(key(1), bytes(9))
    with pytest.raises(ValueError, match="keys: 4 bytes where the map wants 8"):
        table.update_batch(key(1), bytes(16), 2)
    with pytest.raises(ValueError, match="values: 8 bytes where the map wants 16"):
        table.update_batch(bytes(8), bytes(8), 2)
    with pytest.raises(ValueError, match="keys: 4 bytes where the map wants 8"):
        table.delete_batch(key(1), 2)


@pytest.mark.parametrize(
    "table", [MapInfo("counts", MapType.PERCPU_ARRAY, 4, 12, 3)], indirect=True, ids=["percpu"]
)
def test_each_cpu_has_its_copy_of_a_value(table: Map) -> None:
    copies = [bytes([cpu + 1] * 12) for cpu in range(possible_cpus())]
    table.update(key(1), b"".join(copy.ljust(16, b"\0") for copy in copies))
    assert table.lookup_percpu(key(1)) == copies
    assert table.lookup_percpu(key(3)) is None


@pytest.mark.parametrize(
    "table", [MapInfo("counts", MapType.PERCPU_ARRAY, 4, 16, 3)], indirect=True, ids=["percpu"]
)
def test_words_of_all_cpus_are_made_one(table: Map) -> None:
    table.update(key(1), b"".join(key(n) + bytes(4) for n in (7, 70)) * possible_cpus())
    assert table.folded((sum, max)) == [(0, 0), (7 * possible_cpus(), 70), (0, 0)]
    with pytest.raises(ValueError, match="map counts has values of 16 bytes"):
        table.folded((sum, sum, max))


def test_a_long_name_is_cut_to_what_the_kernel_holds() -> None:
    with Map.create(MapInfo("a_name_longer_than_that", MapType.HASH, 4, 4, 1)) as made:
        assert made.info.name == "a_name_longer_t"


def test_a_map_that_the_kernel_does_not_make_is_told_by_name() -> None:
    with pytest.raises(BpfRefused, match="map trie: map create: Invalid argument") as told:
        Map.create(MapInfo("trie", MapType.LPM_TRIE, 8, 4, 1))  # wants NO_PREALLOC
    assert told.value.errno == errno.EINVAL
