# SPDX-License-Identifier: Apache-2.0
import pytest

from krait.common.errors import SystemRefused
from krait.kernel.bpf.map import Map
from krait.kernel.bpf.mapinfo import MapFlag, MapInfo, MapType
from krait.kernel.bpf.object import BpfObject
from krait.kernel.bpf.word import Word

FIRST = bytes(4)


def test_what_is_stored_in_the_word_is_in_the_map_and_the_other_way_round(
    loaded: BpfObject,
) -> None:
    control = loaded.maps["control"]
    with Word(control) as word:
        assert word.value == 0
        word.value = 0xFFFF_FFFF_0000_0001
        assert control.lookup(FIRST) == (0xFFFF_FFFF_0000_0001).to_bytes(8, "little")
        control.update(FIRST, (5).to_bytes(8, "little"))
        assert word.value == 5


def test_two_mappings_are_one_word(loaded: BpfObject) -> None:
    with Word(loaded.maps["control"]) as one, Word(loaded.maps["control"]) as other:
        one.value = 9
        assert other.value == 9


def test_a_closed_word_is_neither_read_nor_written(loaded: BpfObject) -> None:
    word = Word(loaded.maps["control"])
    word.close()
    with pytest.raises(ValueError, match="closed"):
        word.value = 1


@pytest.mark.parametrize(
    "info",
    [
        MapInfo("unmapped", MapType.ARRAY, 4, 8, 1),
        MapInfo("two", MapType.ARRAY, 4, 8, 2, MapFlag.MMAPABLE),
        MapInfo("narrow", MapType.ARRAY, 4, 4, 1, MapFlag.MMAPABLE),
    ],
    ids=lambda info: info.name,
)
def test_a_map_that_is_not_one_shared_word_is_refused(info: MapInfo) -> None:
    with Map.create(info) as other, pytest.raises(SystemRefused, match=info.name):
        Word(other)
