# SPDX-License-Identifier: Apache-2.0
import errno
from pathlib import Path

import pytest

from krait.kernel.bpf.errors import BpfRefused
from krait.kernel.bpf.link import Attached, TcxLink, tcx_present, tcx_query
from krait.kernel.bpf.object import BpfObject
from krait.kernel.bpf.program import program_id
from krait.kernel.hook import Hook
from tests.kernel.bpf.conftest import Tun
from tests.requirements import NEEDS_TCX

pytestmark = NEEDS_TCX
BOTH = pytest.mark.parametrize("hook", list(Hook))


@BOTH
def test_a_link_says_what_it_runs_and_where(loaded: BpfObject, tun: Tun, hook: Hook) -> None:
    program_fd = loaded.programs["toy_judge"]
    with TcxLink.create(program_fd, tun.ifindex, hook) as link:
        info = link.info()
        assert (info.program_id, info.ifindex, info.hook) == (
            program_id(program_fd),
            tun.ifindex,
            hook,
        )
        assert not info.severed
        assert tcx_query(tun.ifindex, hook) == (Attached(info.program_id, info.link_id),)


def test_nothing_is_on_a_new_interface(tun: Tun) -> None:
    assert tcx_query(tun.ifindex, Hook.INGRESS) == ()


@BOTH
def test_a_new_link_goes_before_all_that_is_there(loaded: BpfObject, tun: Tun, hook: Hook) -> None:
    judge, slow = loaded.programs["toy_judge"], loaded.programs["toy_slow"]
    with TcxLink.create(judge, tun.ifindex, hook), TcxLink.create(slow, tun.ifindex, hook):
        order = [attached.program_id for attached in tcx_query(tun.ifindex, hook)]
    assert order == [program_id(slow), program_id(judge)]


def test_a_closed_link_takes_its_program_along(loaded: BpfObject, tun: Tun) -> None:
    TcxLink.create(loaded.programs["toy_judge"], tun.ifindex, Hook.EGRESS).close()
    assert tcx_query(tun.ifindex, Hook.EGRESS) == ()


def test_a_pinned_link_stays_and_can_be_swapped_by_another_process(
    loaded: BpfObject, tun: Tun, bpffs: Path
) -> None:
    with TcxLink.create(loaded.programs["toy_judge"], tun.ifindex, Hook.INGRESS) as link:
        link.pin(bpffs / "link")
        before = link.info()
    with TcxLink.open_pinned(bpffs / "link") as link:
        assert link.info() == before
        link.update(loaded.programs["toy_slow"])
        after = link.info()
        assert after.link_id == before.link_id
        assert after.program_id == program_id(loaded.programs["toy_slow"])
    assert tcx_query(tun.ifindex, Hook.INGRESS) == (Attached(after.program_id, after.link_id),)


def test_a_detached_link_is_severed_though_it_is_pinned(
    loaded: BpfObject, tun: Tun, bpffs: Path
) -> None:
    with TcxLink.create(loaded.programs["toy_judge"], tun.ifindex, Hook.INGRESS) as link:
        link.pin(bpffs / "link")
        link.detach()
        assert link.info().severed
        link.detach()  # it is off already
    assert tcx_query(tun.ifindex, Hook.INGRESS) == ()


def test_on_an_interface_that_is_gone_there_is_nothing(tun: Tun) -> None:
    ifindex = tun.ifindex
    tun.close()
    assert tcx_present(ifindex, Hook.INGRESS) == ()
    with pytest.raises(BpfRefused):
        tcx_query(ifindex, Hook.INGRESS)


def test_a_link_is_severed_when_its_interface_goes(loaded: BpfObject, tun: Tun) -> None:
    with TcxLink.create(loaded.programs["toy_judge"], tun.ifindex, Hook.INGRESS) as link:
        tun.close()
        assert link.info().severed
        with pytest.raises(BpfRefused) as told:
            link.update(loaded.programs["toy_slow"])
    assert told.value.errno == errno.ENOLINK
    assert "attach anew" in told.value.hint


def test_an_interface_that_is_not_there_is_told(loaded: BpfObject, tun: Tun) -> None:
    tun.close()
    with pytest.raises(BpfRefused) as attach:
        TcxLink.create(loaded.programs["toy_judge"], tun.ifindex, Hook.INGRESS)
    with pytest.raises(BpfRefused) as query:
        tcx_query(tun.ifindex, Hook.INGRESS)
    assert attach.value.errno == query.value.errno == errno.ENODEV
