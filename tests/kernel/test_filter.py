# SPDX-License-Identifier: Apache-2.0
"""Both kinds of attachment on a veth in a namespace of the test's own; others are played by us."""

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from krait.common.errors import SystemRefused
from krait.kernel import clsact
from krait.kernel.bpf.link import TcxLink, tcx_query
from krait.kernel.filter import InterfaceFilter, supported_kind
from krait.kernel.hook import Hook
from krait.kernel.seat import AttachKind
from tests.kernel.classifier import DROP, GO_ON, classifier, program_id
from tests.requirements import KINDS, NEEDS_TCX, need_tools

need_tools("ip", "tc")

NOBODY = 1 << 30
INGRESS = Hook.INGRESS
ETHERTYPE = 0x88B5  # for experiments (IEEE 802)

Programs = Callable[[], int]


def run(command: str) -> None:
    subprocess.run(command.split(), check=True)


@pytest.fixture
def ifindex(netns: None) -> int:  # noqa: ARG001 - its effect is the namespace
    run("ip link add v0 type veth peer name v1")
    return socket.if_nametoindex("v0")


@pytest.fixture
def pins(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "bpf"
    folder.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", folder], check=True)
    yield folder / "krait" / "v0"
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def load() -> Iterator[Programs]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(classifier(GO_ON))


@pytest.fixture(params=KINDS, ids=lambda kind: str(kind.value))
def either(request: pytest.FixtureRequest, pins: Path) -> InterfaceFilter:
    return InterfaceFilter(pins, request.param)


@pytest.fixture(params=[pytest.param(AttachKind.TCX, marks=NEEDS_TCX, id="tcx")])
def tcx(request: pytest.FixtureRequest, pins: Path) -> InterfaceFilter:
    return InterfaceFilter(pins, request.param)


@NEEDS_TCX
def test_the_kernel_that_has_tcx_gets_it() -> None:
    assert supported_kind() is AttachKind.TCX


@pytest.mark.parametrize("hook", list(Hook))
def test_what_is_attached_is_seen_on_its_hook_alone(
    either: InterfaceFilter, ifindex: int, load: Programs, hook: Hook
) -> None:
    program = load()
    either.attach(ifindex, hook, program)
    (seat,) = either.observe(ifindex, hook)
    assert (seat.kind, seat.program_id, seat.ahead) == (either.kind, program_id(program), ())
    (other,) = set(Hook) - {hook}
    assert either.observe(ifindex, other) == ()


def test_swapping_changes_the_program_and_not_the_place(
    either: InterfaceFilter, ifindex: int, load: Programs
) -> None:
    either.attach(ifindex, INGRESS, load())
    newer = load()
    either.swap(ifindex, INGRESS, newer)
    assert [seat.program_id for seat in either.observe(ifindex, INGRESS)] == [program_id(newer)]


@pytest.fixture
def wire(ifindex: int) -> int:
    """`ifindex`, with a peer to exchange frames with."""
    for device in ("v0", "v1"):
        run(f"ip link set {device} up")
    return ifindex


def passed(hook: Hook, meanwhile: Callable[[], None]) -> int:
    """How many frames get past a hook of v0 while something is done to it."""
    frame = b"\xff" * 12 + ETHERTYPE.to_bytes(2) + bytes(46)
    sent, stop = 0, threading.Event()
    with packets("v0" if hook is Hook.EGRESS else "v1") as sender:

        def flood() -> None:
            nonlocal sent
            while not stop.is_set():
                with suppress(OSError):  # ENOBUFS is how a frame that egress dropped is answered
                    sender.send(frame)
                sent += 1

        # A socket of one EtherType is served behind ingress; one of all would be before it.
        with packets("v1" if hook is Hook.EGRESS else "v0", ETHERTYPE) as receiver:
            thread = threading.Thread(target=flood)
            thread.start()
            try:
                meanwhile()
            finally:
                stop.set()
                thread.join()
            found = 0
            with suppress(BlockingIOError):
                while receiver.recv(len(frame), socket.MSG_DONTWAIT):
                    found += 1
    assert sent > 100
    return found


def packets(device: str, protocol: int = 0) -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.bind((device, protocol))
    return made


@pytest.mark.parametrize("hook", list(Hook))
def test_no_packet_passes_unseen_while_programs_are_swapped(
    either: InterfaceFilter, wire: int, hook: Hook
) -> None:
    with classifier(DROP) as one, classifier(DROP) as other:
        either.attach(wire, hook, one)

        def swap() -> None:
            for _ in range(1000):
                either.swap(wire, hook, other)
                either.swap(wire, hook, one)

        def detach_and_attach() -> None:
            for _ in range(30):
                either.detach(wire, hook, either.kind)
                either.attach(wire, hook, one)

        assert passed(hook, swap) == 0
        assert passed(hook, detach_and_attach), "the test could not fail"


def test_detaching_leaves_nothing_and_may_be_repeated(
    either: InterfaceFilter, pins: Path, ifindex: int, load: Programs
) -> None:
    either.attach(ifindex, INGRESS, load())
    for _ in range(2):
        either.detach(ifindex, INGRESS, either.kind)
        assert either.observe(ifindex, INGRESS) == ()
    assert not pins.exists() or not list(pins.glob("link*"))
    either.detach(NOBODY, INGRESS, either.kind)
    either.detach(None, INGRESS, either.kind)


def test_a_link_outlives_the_one_who_made_it(
    tcx: InterfaceFilter, pins: Path, ifindex: int, load: Programs
) -> None:
    tcx.attach(ifindex, INGRESS, load())
    assert len(InterfaceFilter(pins, AttachKind.CLSACT).observe(ifindex, INGRESS)) == 1


def unmount(folder: Path) -> None:
    run(f"umount {folder}")


def mount(folder: Path) -> None:
    run(f"mount -t bpf bpf {folder}")


def test_a_link_stays_on_though_its_bpf_file_system_is_unmounted_and_is_pinned_when_it_is_back(
    tcx: InterfaceFilter, pins: Path, ifindex: int, load: Programs
) -> None:
    tcx.attach(ifindex, INGRESS, load())
    seats = tcx.observe(ifindex, INGRESS)
    unmount(pins.parents[1])
    try:
        assert tcx.observe(ifindex, INGRESS) == seats
        assert len(tcx_query(ifindex, INGRESS)) == 1
        assert not tcx.is_pinned()
        with pytest.raises(SystemRefused, match="not on a bpf file system"):
            tcx.pin()
        newer = load()
        tcx.swap(ifindex, INGRESS, newer)
        assert [each.program_id for each in tcx_query(ifindex, INGRESS)] == [program_id(newer)]
    finally:
        mount(pins.parents[1])
    tcx.pin()
    assert tcx.is_pinned()
    tcx.close()
    assert len(InterfaceFilter(pins, AttachKind.TCX).observe(ifindex, INGRESS)) == 1


def test_an_interface_that_appears_while_nothing_can_be_pinned_is_not_left_bare(
    tcx: InterfaceFilter, pins: Path, ifindex: int, load: Programs
) -> None:
    unmount(pins.parents[1])
    try:
        with pytest.raises(SystemRefused, match="not on a bpf file system"):
            tcx.attach(ifindex, INGRESS, load())
        assert len(tcx.observe(ifindex, INGRESS)) == 1
    finally:
        mount(pins.parents[1])
    tcx.detach(ifindex, INGRESS, AttachKind.TCX)
    assert tcx_query(ifindex, INGRESS) == ()


def test_an_earlier_agents_link_is_held_once_it_is_seen(
    tcx: InterfaceFilter, pins: Path, ifindex: int, load: Programs
) -> None:
    tcx.attach(ifindex, INGRESS, load())
    following = InterfaceFilter(pins, AttachKind.TCX)
    seats = following.observe(ifindex, INGRESS)
    tcx.close()
    (pins / "link_ingress").unlink()
    assert following.observe(ifindex, INGRESS) == seats != ()
    following.close()
    assert tcx_query(ifindex, INGRESS) == ()


def test_who_runs_before_is_named_and_attaching_again_comes_first(
    tcx: InterfaceFilter, ifindex: int, load: Programs
) -> None:
    tcx.attach(ifindex, INGRESS, load())
    stranger = load()
    with TcxLink.create(stranger, ifindex, INGRESS):
        (seat,) = tcx.observe(ifindex, INGRESS)
        assert seat.ahead == (f"program {program_id(stranger)}",)
        newer = load()
        tcx.attach(ifindex, INGRESS, newer)
        (seat,) = tcx.observe(ifindex, INGRESS)
        assert (seat.program_id, seat.ahead) == (program_id(newer), ())
        order = [each.program_id for each in tcx_query(ifindex, INGRESS)]
        assert order == [program_id(newer), program_id(stranger)]


@pytest.mark.parametrize("same_program", [True, False])
def test_an_attachment_that_a_crash_left_unpinned_is_taken_over(
    tcx: InterfaceFilter, pins: Path, ifindex: int, load: Programs, *, same_program: bool
) -> None:
    pins.mkdir(parents=True)
    before, now = load(), load()
    with TcxLink.create(now if same_program else before, ifindex, INGRESS) as link:
        link.pin(pins / "link_ingress+")
    tcx.attach(ifindex, INGRESS, now)
    assert [each.program_id for each in tcx_query(ifindex, INGRESS)] == [program_id(now)]
    assert [seat.program_id for seat in tcx.observe(ifindex, INGRESS)] == [program_id(now)]
    assert [pin.name for pin in pins.iterdir()] == ["link_ingress"]


def test_both_kinds_are_seen_while_one_replaces_the_other(
    tcx: InterfaceFilter, pins: Path, ifindex: int, load: Programs
) -> None:
    older = InterfaceFilter(pins, AttachKind.CLSACT)
    older.attach(ifindex, INGRESS, load())
    tcx.attach(ifindex, INGRESS, load())
    seats = tcx.observe(ifindex, INGRESS)
    assert [(seat.kind, seat.ahead) for seat in seats] == [
        (AttachKind.TCX, ()),
        (AttachKind.CLSACT, ()),
    ]
    tcx.detach(ifindex, INGRESS, AttachKind.CLSACT)
    assert [seat.kind for seat in tcx.observe(ifindex, INGRESS)] == [AttachKind.TCX]


def test_a_filter_takes_the_next_pref_where_the_first_is_taken_and_says_behind_whom(
    pins: Path, ifindex: int, load: Programs
) -> None:
    run("tc qdisc add dev v0 clsact")
    run("tc filter add dev v0 ingress pref 1 protocol all u32 match u32 0 0")
    older = InterfaceFilter(pins, AttachKind.CLSACT)
    older.attach(ifindex, INGRESS, load())
    (seat,) = older.observe(ifindex, INGRESS)
    assert seat.ahead == ("u32",)
    assert [each.pref for each in clsact.query(ifindex, INGRESS) if each.ours] == [2]


@NEEDS_TCX
def test_programs_of_tcx_run_before_a_filter_of_clsact(
    pins: Path, ifindex: int, load: Programs
) -> None:
    older = InterfaceFilter(pins, AttachKind.CLSACT)
    older.attach(ifindex, INGRESS, load())
    stranger = load()
    with TcxLink.create(stranger, ifindex, INGRESS):
        (seat,) = older.observe(ifindex, INGRESS)
    assert seat.ahead == (f"program {program_id(stranger)}",)
