# SPDX-License-Identifier: Apache-2.0
import os

from krait.kernel.bpf.map import Map
from krait.kernel.bpf.mapinfo import MapInfo, MapType


def test_closing_twice_does_not_close_what_got_the_number_meanwhile() -> None:
    table = Map.create(MapInfo("table", MapType.HASH, 4, 4, 1))
    number = table.fd
    table.close()
    stranger = os.open("/dev/null", os.O_RDONLY)
    assert stranger == number, "the kernel hands out the lowest free number"
    table.close()
    os.fstat(stranger)
    os.close(stranger)
    assert table.fd == -1


def test_a_descriptor_is_not_handed_to_programs_that_are_run() -> None:
    with Map.create(MapInfo("table", MapType.HASH, 4, 4, 1)) as table:
        assert not os.get_inheritable(table.fd)
