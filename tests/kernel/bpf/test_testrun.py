# SPDX-License-Identifier: Apache-2.0
import errno

import pytest

from krait.kernel.bpf import testrun
from krait.kernel.bpf.errors import BpfRefused
from krait.kernel.bpf.object import BpfObject
from tests.kernel.bpf.conftest import Tun

PACKET = bytes([0x45, *range(39)])
FRAME = testrun.ethernet(PACKET)


@pytest.fixture
def judge(loaded: BpfObject) -> int:
    return loaded.programs["toy_judge"]


def test_the_verdict_of_a_program_that_lets_others_go_on_is_minus_one(judge: int) -> None:
    assert testrun.run(judge, FRAME).verdict == -1


def test_a_packet_runs_on_loopback_unless_another_interface_is_named(judge: int, tun: Tun) -> None:
    assert testrun.run(judge, FRAME).cb[0] == 1
    assert testrun.run(judge, FRAME, ifindex=tun.ifindex).cb[0] == tun.ifindex


def test_the_number_of_segments_and_the_control_block_go_in_and_come_back(judge: int) -> None:
    run = testrun.run(judge, FRAME, gso_segs=17, cb=(0, 0, 40, 0, 9))
    assert run.cb == (1, 17, 40, 0, 5)


def test_one_run_does_not_see_what_another_left(judge: int) -> None:
    testrun.run(judge, FRAME, gso_segs=17, cb=(1, 2, 3, 4, 5))
    assert testrun.run(judge, FRAME).cb[1:3] == (0, 0)


def test_every_repetition_runs_and_sees_the_whole_frame(judge: int, loaded: BpfObject) -> None:
    run = testrun.run(judge, FRAME, repeat=1000)
    assert run.duration_ns > 0
    assert loaded.maps["counts"].folded((sum, sum))[0] == (1000, 1000 * len(FRAME))


def test_the_header_in_front_names_the_version_of_the_packet() -> None:
    assert testrun.ethernet(PACKET) == bytes(12) + b"\x08\x00" + PACKET
    assert testrun.ethernet(b"\x60" + bytes(39))[12:14] == b"\x86\xdd"
    assert testrun.ethernet(PACKET, ethertype=0x86DD)[12:14] == b"\x86\xdd"


def test_a_frame_without_a_whole_header_is_refused(judge: int) -> None:
    with pytest.raises(BpfRefused) as told:
        testrun.run(judge, bytes(13))
    assert told.value.errno == errno.EINVAL
