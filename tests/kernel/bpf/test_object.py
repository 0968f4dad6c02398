# SPDX-License-Identifier: Apache-2.0
import errno
from pathlib import Path

import pytest

from krait.common.errors import SystemRefused
from krait.kernel.bpf import testrun
from krait.kernel.bpf.errors import BpfRefused
from krait.kernel.bpf.map import Map
from krait.kernel.bpf.mapinfo import MapFlag, MapInfo, MapType
from krait.kernel.bpf.object import BpfObject
from tests.kernel.bpf.conftest import Compile

FRAME = testrun.ethernet(bytes([0x45, *[0] * 39]))


def test_constants_reach_the_program_each_at_its_place(toy: BpfObject) -> None:
    toy.set_constant("first", 255)
    toy.set_constant("verdict", -7)
    toy.set_constant("ttl", [1, 2, 3, 4, 5, 6, 7, 0xBEEF])
    toy.set_constant("wide", 0xC0FFEE << 32)
    toy.load()
    run = testrun.run(toy.programs["toy_judge"], FRAME)
    assert run.verdict == -7
    assert run.cb[2:] == (0xBEEF, 0xC0FFEE, 5)


def test_a_constant_that_the_object_does_not_have_is_refused(toy: BpfObject) -> None:
    with pytest.raises(SystemRefused, match="no constant `tll`"):
        toy.set_constant("tll", 1)


@pytest.mark.parametrize(("name", "value"), [("ttl", 1), ("ttl", [1] * 7), ("verdict", [1])])
def test_a_value_of_another_length_is_refused(
    toy: BpfObject, name: str, value: int | list[int]
) -> None:
    with pytest.raises(ValueError, match=name):
        toy.set_constant(name, value)


def test_a_value_that_does_not_fit_is_refused(toy: BpfObject) -> None:
    with pytest.raises(OverflowError):
        toy.set_constant("ttl", [1 << 16] * 8)


def test_maps_and_programs_are_found_by_the_names_of_the_source(loaded: BpfObject) -> None:
    assert set(loaded.maps) == {"control", "known", "counts", "progress"}
    assert set(loaded.programs) == {"toy_judge", "toy_slow"}
    assert loaded.maps["control"].info == MapInfo(
        "control", MapType.ARRAY, 4, 8, 1, MapFlag.MMAPABLE
    )


def test_a_map_is_made_as_large_as_asked(toy: BpfObject) -> None:
    toy.resize("known", 4711)
    toy.load()
    assert toy.maps["known"].info.max_entries == 4711


def test_a_map_that_the_object_does_not_have_cannot_be_shaped(toy: BpfObject) -> None:
    with pytest.raises(SystemRefused, match="no map `flow`"):
        toy.resize("flow", 1)


def test_a_map_can_be_shared_with_a_program_loaded_before(
    toy_file: Path, loaded: BpfObject
) -> None:
    with BpfObject.open(toy_file) as successor:
        successor.reuse("known", loaded.maps["known"].fd)
        successor.load()
        loaded.close()
        key = len(FRAME).to_bytes(4, "little") + bytes(8)
        successor.maps["known"].update(key, (42).to_bytes(4, "little"))
        assert testrun.run(successor.programs["toy_judge"], FRAME).cb[3] == 42


def test_sharing_keeps_what_is_in_the_map(toy_file: Path, loaded: BpfObject) -> None:
    loaded.maps["known"].update(bytes(12), b"here")
    with BpfObject.open(toy_file) as successor:
        successor.reuse("known", loaded.maps["known"].fd)
        successor.load()
        assert successor.maps["known"].lookup(bytes(12)) == b"here"


@pytest.mark.parametrize(
    "other",
    [
        MapInfo("known", MapType.LRU_HASH, 12, 4, 64),
        MapInfo("known", MapType.HASH, 8, 4, 64),
        MapInfo("known", MapType.HASH, 12, 8, 64),
        MapInfo("known", MapType.HASH, 12, 4, 64, MapFlag.NO_PREALLOC),
    ],
)
def test_a_map_of_another_shape_is_not_shared(toy: BpfObject, other: MapInfo) -> None:
    with Map.create(other) as existing, pytest.raises(SystemRefused, match="cannot be used again"):
        toy.reuse("known", existing.fd)


def test_a_refused_program_is_told_in_the_words_of_the_verifier(compile_toy: Compile) -> None:
    path = compile_toy("-DREFUSED")
    with BpfObject.open(path) as bad, pytest.raises(BpfRefused) as told:
        bad.load()
    assert told.value.errno == errno.EACCES
    assert told.value.message == f"{path}: load: Permission denied (EACCES)"
    assert "invalid access to packet" in str(told.value)


def test_a_refusal_does_not_carry_the_log_of_the_one_before(compile_toy: Compile) -> None:
    with BpfObject.open(compile_toy("-DREFUSED")) as bad, pytest.raises(BpfRefused):
        bad.load()
    with pytest.raises(BpfRefused) as told:
        BpfObject.open(Path("missing.o"))
    assert told.value.errno == errno.ENOENT
    assert "invalid access" not in told.value.log


def test_a_file_that_is_no_object_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "krait.bpf.o"
    path.write_text("not an ELF file")
    with pytest.raises(BpfRefused, match="not a proper ELF object"):
        BpfObject.open(path)


def test_what_is_closed_answers_no_more(loaded: BpfObject) -> None:
    known = loaded.maps["known"]
    loaded.close()
    loaded.close()
    with pytest.raises(BpfRefused) as told:
        known.lookup(bytes(12))
    assert told.value.errno in {errno.EBADF, errno.EBADFD}


def test_a_measured_load_tells_of_each_program_what_the_verifier_did(toy: BpfObject) -> None:
    told = toy.load_measured()
    assert told.keys() == toy.programs.keys()
    for words in told.values():
        assert "stack depth" in words
        assert "processed" in words
