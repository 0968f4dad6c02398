# SPDX-License-Identifier: Apache-2.0
"""The guard on real devices, with and without an Ethernet header, by both ways to attach."""

import socket
import subprocess
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from krait.common.errors import SystemRefused
from krait.common.guard import GUARD_VERSION, GuardMark, GuardReason
from krait.kernel import clsact
from krait.kernel.bpf.link import TcxLink, tcx_query
from krait.kernel.guard import GuardLoad
from krait.kernel.guards import Guards
from krait.kernel.hook import Hook
from krait.kernel.seat import AttachKind
from tests.kernel.test_filter import Programs, load, packets, pins
from tests.kernel.test_tun import behind, received, tun, write
from tests.patience import wait_until
from tests.requirements import KINDS, NEEDS_TCX, need_tools
from tests.strategies.packets import ip4, udp

__all__ = ["load", "pins", "tun"]  # fixtures

need_tools("ip", "tc")

OWN, OTHER, LAN, HERE = "10.8.0.1", "10.8.0.2", "192.0.2.7", "192.0.2.1"
MARKS = {
    ip_network("10.8.0.0/24"): GuardMark.MESH,
    ip_network(f"{OWN}/32"): GuardMark.MESH | GuardMark.OWN,
}
NOBODY = 1 << 30
PAGED_LINEAR_BYTES = 1
IPV4 = 0x0800


def run(command: str) -> None:
    subprocess.run(command.split(), check=True)


@pytest.fixture
def wire(netns: None) -> int:  # noqa: ARG001 - its effect is the namespace
    """The ifindex of v0, whose other end is v1."""
    run("ip link add v0 type veth peer name v1")
    for device in ("v0", "v1"):
        run(f"ip link set {device} up")
    return socket.if_nametoindex("v0")


@pytest.fixture(params=KINDS, ids=lambda kind: str(kind.value))
def guards(request: pytest.FixtureRequest, pins: Path) -> Iterator[Guards]:
    made = Guards(pins, "wg0", request.param)
    made.load(MARKS)
    yield made
    made.clear()


@pytest.fixture(params=[pytest.param(AttachKind.TCX, marks=NEEDS_TCX, id="tcx")])
def tcx(request: pytest.FixtureRequest, pins: Path) -> Guards:
    made = Guards(pins, "wg0", request.param)
    made.load(MARKS)
    return made


def seats(guards: Guards, *devices: int) -> dict[int, list[tuple[AttachKind, int]]]:
    found = guards.observe(devices, filters=True).seats
    return {at: [(each.kind, each.program_id) for each in those] for at, those in found.items()}


def dropped_by(guards: Guards) -> dict[GuardReason, int]:
    return {reason: count.packets for reason, count in guards.drops().items()}


def test_a_device_without_an_ethernet_header_is_guarded_wherever_its_bytes_lie(
    tun: int, guards: Guards
) -> None:
    guards.attach(socket.if_nametoindex("t0"))
    with behind(IPV4) as beyond:
        for linear in (0, PAGED_LINEAR_BYTES):
            for source, destination in ((LAN, OWN), (OTHER, HERE), (LAN, OTHER)):
                # Padded to its pages, it is as long as it says.
                size = 6000 if linear else None
                assert write(tun, ip4(source, destination, 17, udp(1, 2), total=size), linear)
        wait_until(lambda: sum(dropped_by(guards).values()) == 4)
        assert received(beyond) == 2
    assert dropped_by(guards) == {GuardReason.SOURCE: 2, GuardReason.DESTINATION: 2}


def tagged(tags: str) -> bytes:
    return bytes.fromhex("ffffffffffff" + "020000000001" + tags) + ip4(LAN, OWN, 17, bytes(30))


@pytest.mark.parametrize("tags", ["0800", "810000050800", "88a80005810000070800"])
def test_a_device_with_an_ethernet_header_is_guarded_whatever_its_tags(
    wire: int, guards: Guards, tags: str
) -> None:
    guards.attach(wire)
    with packets("v1") as sender:
        sender.send(tagged(tags))
    wait_until(guards.drops)
    assert dropped_by(guards) == {GuardReason.DESTINATION: 1}


def test_it_outlives_who_attached_it_and_the_next_one_finds_it(
    wire: int, guards: Guards, pins: Path
) -> None:
    guards.attach(wire)
    following = Guards(pins, "wg0", guards.kind)
    assert seats(following, wire) == {wire: [(guards.kind, guards.program_id())]}
    with GuardLoad.open(pins / f"guard-{GUARD_VERSION}") as load:
        assert load.marks == MARKS


def test_another_load_takes_its_place_without_a_second_seat(wire: int, guards: Guards) -> None:
    guards.attach(wire)
    before = guards.program_id()
    guards.load(MARKS)
    assert guards.program_id() != before
    assert seats(guards, wire) == {wire: [(guards.kind, before)]}
    guards.attach(wire)
    assert seats(guards, wire) == {wire: [(guards.kind, guards.program_id())]}


def test_it_is_taken_off_one_device_and_then_all(wire: int, guards: Guards, pins: Path) -> None:
    other = socket.if_nametoindex("v1")
    for ifindex in (wire, other):
        guards.attach(ifindex)
    guards.detach(wire, guards.kind)
    guards.detach(wire, guards.kind)
    assert seats(guards, wire) == {other: [(guards.kind, guards.program_id())]}
    assert guards.clear()
    assert seats(guards, wire, other) == {}
    assert [path.name for path in pins.iterdir() if "guard" in path.name] == []
    assert not clsact.remove_qdisc(other), "its qdisc is left"
    assert not guards.clear()
    assert guards.drops() == {}


def test_guards_of_two_interfaces_do_not_touch_each_other(
    wire: int, guards: Guards, pins: Path
) -> None:
    second = Guards(pins.with_name("v1"), "wg1", guards.kind)
    second.load({})
    for each in (guards, second):
        each.attach(wire)
    assert seats(second, wire) == {wire: [(second.kind, second.program_id())]}
    second.clear()
    assert seats(guards, wire) == {wire: [(guards.kind, guards.program_id())]}


def test_krait_goes_before_the_guard_where_both_are_filters(
    wire: int, pins: Path, load: Programs
) -> None:
    guards = Guards(pins, "wg0", AttachKind.CLSACT)
    guards.load(MARKS)
    guards.attach(wire)
    clsact.attach(wire, Hook.INGRESS, load())
    (seat,) = guards.observe((), filters=True).seats[wire]
    assert seat.ahead == ("bpf krait_ingress",)


def test_an_ingress_qdisc_in_the_place_of_clsact_will_do(wire: int, pins: Path) -> None:
    run("tc qdisc add dev v0 ingress")
    run("tc filter add dev v0 parent ffff: pref 2 protocol all u32 match u32 0 0")
    guards = Guards(pins, "wg0", AttachKind.CLSACT)
    guards.load(MARKS)
    guards.attach(wire)
    (seat,) = guards.observe((), filters=True).seats[wire]
    assert seat.ahead == ("u32",)
    guards.clear()
    assert not guards.observe((), filters=True).seats


def test_a_link_whose_device_is_gone_is_lost_and_can_be_removed(wire: int, tcx: Guards) -> None:
    tcx.attach(wire)
    run("ip link del v0")
    assert tcx.observe((), filters=True).lost == {wire}
    tcx.detach(wire, AttachKind.TCX)
    assert tcx.observe((), filters=True).lost == frozenset()


def test_a_device_in_another_namespace_loses_it_and_another_of_its_number_gets_one(
    wire: int, tcx: Guards, pins: Path
) -> None:
    tcx.attach(wire)
    with (
        TcxLink.open_pinned(pins / f"guard_{wire}") as link,
        subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE) as there,
    ):
        here, its = (Path(f"/proc/{who}/ns/net") for who in ("thread-self", there.pid))
        while its.readlink() == here.readlink():
            time.sleep(0.01)
        run(f"ip link set v0 netns {there.pid}")
        assert tcx.observe((), filters=True).lost == {wire}
        run(f"ip link add v0 index {wire} type veth peer name v2")
        tcx.attach(wire)
        assert [each.program_id for each in tcx_query(wire, Hook.INGRESS)] == [tcx.program_id()]
        assert link.info().severed
        there.communicate()


def test_half_a_load_and_one_of_another_version_are_outdated(tcx: Guards, pins: Path) -> None:
    assert not tcx.outdated()
    for name in (f"guard-{GUARD_VERSION - 1}", f"guard-{GUARD_VERSION}+"):
        (pins / name).mkdir()
    assert tcx.outdated()
    tcx.drop(outdated=True)
    assert not tcx.outdated()
    assert tcx.program_id() is not None


def test_a_load_of_which_a_pin_is_gone_is_none_and_is_made_anew(
    wire: int, guards: Guards, pins: Path
) -> None:
    guards.attach(wire)
    (pins / f"guard-{GUARD_VERSION}" / "marks4").unlink()
    assert guards.program_id() is None
    assert guards.drops() == {}
    guards.load(MARKS)
    guards.attach(wire)
    assert seats(guards, wire) == {wire: [(guards.kind, guards.program_id())]}


def test_a_load_of_which_a_crash_left_some_is_outdated_and_goes(tcx: Guards, pins: Path) -> None:
    assert not tcx.outdated()
    (pins / f"guard-{GUARD_VERSION}" / "krait_guard").unlink()
    assert tcx.program_id() is None
    assert tcx.outdated()
    tcx.drop(outdated=False)
    assert not tcx.outdated()


def test_an_interface_that_is_gone_is_refused(guards: Guards) -> None:
    with pytest.raises(SystemRefused, match=str(NOBODY)):
        guards.attach(NOBODY)
    guards.detach(NOBODY, guards.kind)
