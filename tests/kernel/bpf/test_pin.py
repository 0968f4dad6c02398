# SPDX-License-Identifier: Apache-2.0
import errno
from pathlib import Path

import pytest

from krait.common.errors import SystemRefused
from krait.kernel.bpf import pin
from krait.kernel.bpf.errors import BpfRefused
from krait.kernel.bpf.map import Map
from krait.kernel.bpf.object import BpfObject
from krait.kernel.bpf.pin import escape


def test_a_pinned_map_outlives_what_made_it(loaded: BpfObject, bpffs: Path) -> None:
    loaded.maps["known"].pin(bpffs / "known")
    loaded.maps["known"].update(bytes(12), b"kept")
    loaded.close()
    with Map.open_pinned(bpffs / "known") as again:
        assert again.lookup(bytes(12)) == b"kept"


def test_an_interface_with_a_dot_gets_a_folder(bpffs: Path) -> None:
    with pytest.raises(PermissionError):
        (bpffs / "wg0.100").mkdir()
    (bpffs / escape("wg0.100")).mkdir()


def test_a_name_that_is_taken_is_refused(loaded: BpfObject, bpffs: Path) -> None:
    loaded.maps["known"].pin(bpffs / "known")
    with pytest.raises(BpfRefused) as told:
        loaded.maps["counts"].pin(bpffs / "known")
    assert told.value.errno == errno.EEXIST


def test_a_pin_takes_the_place_of_another_by_a_rename(loaded: BpfObject, bpffs: Path) -> None:
    loaded.maps["known"].pin(bpffs / "map")
    loaded.maps["counts"].pin(bpffs / "next")
    (bpffs / "next").rename(bpffs / "map")
    with Map.open_pinned(bpffs / "map") as found:
        assert found.info == loaded.maps["counts"].info


def test_what_is_not_pinned_is_told(bpffs: Path) -> None:
    with pytest.raises(BpfRefused) as told:
        Map.open_pinned(bpffs / "nothing")
    assert told.value.errno == errno.ENOENT


def test_a_pinned_program_is_not_taken_for_a_map(loaded: BpfObject, bpffs: Path) -> None:
    pin.pin(loaded.programs["toy_judge"], bpffs / "thing")
    with pytest.raises(SystemRefused, match="is a pinned bpf-prog, not a bpf-map"):
        Map.open_pinned(bpffs / "thing")


def test_pinning_elsewhere_is_refused_with_the_mount_to_make(
    loaded: BpfObject, tmp_path: Path
) -> None:
    with pytest.raises(SystemRefused) as told:
        loaded.maps["known"].pin(tmp_path / "known")
    assert told.value.hint == "mount -t bpf -o mode=0700 bpf /sys/fs/bpf"
