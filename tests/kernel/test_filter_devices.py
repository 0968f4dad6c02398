# SPDX-License-Identifier: Apache-2.0
"""Attachments on devices that are deleted, renamed or moved away: what is left, and whose it is."""

import socket
import subprocess
import time
from pathlib import Path

from krait.kernel.bpf.link import tcx_query
from krait.kernel.filter import InterfaceFilter
from krait.kernel.hook import Hook
from krait.kernel.seat import AttachKind
from tests.kernel.classifier import program_id
from tests.kernel.test_filter import (
    INGRESS,
    Programs,
    either,
    ifindex,
    load,
    pins,
    run,
    tcx,
)
from tests.requirements import need_tools

__all__ = ["either", "ifindex", "load", "pins", "tcx"]  # fixtures

need_tools("ip", "tc")


def test_a_link_of_a_deleted_interface_is_severed_and_can_be_removed(
    tcx: InterfaceFilter, pins: Path, ifindex: int, load: Programs
) -> None:
    tcx.attach(ifindex, INGRESS, load())
    assert not tcx.severed(INGRESS)
    run("ip link del v0")
    assert tcx.severed(INGRESS)
    assert tcx.observe(ifindex, INGRESS) == ()
    tcx.unlink_severed(INGRESS)
    assert not tcx.severed(INGRESS)
    assert not list(pins.iterdir())


def test_a_severed_link_does_not_hinder_the_next_one(
    tcx: InterfaceFilter, ifindex: int, load: Programs
) -> None:
    tcx.attach(ifindex, INGRESS, load())
    run("ip link del v0")
    run("ip link add v0 type veth peer name v1")
    again = socket.if_nametoindex("v0")
    assert tcx.observe(again, INGRESS) == ()
    tcx.attach(again, INGRESS, load())
    assert len(tcx.observe(again, INGRESS)) == 1
    assert not tcx.severed(INGRESS)


def test_a_renamed_device_keeps_its_link_when_another_gets_the_name(
    tcx: InterfaceFilter, ifindex: int, load: Programs
) -> None:
    old, new = load(), load()
    tcx.attach(ifindex, INGRESS, old)
    assert tcx.elsewhere(ifindex, set()) == frozenset()
    run("ip link set v0 name old")
    assert tcx.elsewhere(None, set()) == {program_id(old)}
    run("ip link add v0 type veth peer name v2")
    other = socket.if_nametoindex("v0")
    tcx.attach(other, INGRESS, new)
    assert [each.program_id for each in tcx_query(ifindex, INGRESS)] == [program_id(old)]
    assert [each.program_id for each in tcx_query(other, INGRESS)] == [program_id(new)]
    assert [seat.program_id for seat in tcx.observe(other, INGRESS)] == [program_id(new)]
    assert tcx.elsewhere(other, set()) == {program_id(old)}


def test_a_device_that_comes_back_to_its_name_is_judged_by_one_program(
    tcx: InterfaceFilter, pins: Path, ifindex: int, load: Programs
) -> None:
    tcx.attach(ifindex, INGRESS, load())
    run("ip link set v0 name old")
    run("ip link add v0 type veth peer name v2")
    tcx.attach(socket.if_nametoindex("v0"), INGRESS, load())
    run("ip link del v0")
    run("ip link set old name v0")
    last = load()
    tcx.attach(ifindex, INGRESS, last)
    assert [each.program_id for each in tcx_query(ifindex, INGRESS)] == [program_id(last)]
    assert tcx.elsewhere(ifindex, set()) == frozenset()
    assert [pin.name for pin in pins.iterdir()] == ["link_ingress"]


def test_a_device_in_another_namespace_keeps_its_link_and_the_pin_goes_with_the_device(
    tcx: InterfaceFilter, pins: Path, ifindex: int, load: Programs
) -> None:
    old = load()
    tcx.attach(ifindex, INGRESS, old)
    with subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE) as there:
        here, its = (Path(f"/proc/{who}/ns/net") for who in ("thread-self", there.pid))
        while its.readlink() == here.readlink():
            time.sleep(0.01)
        run(f"ip link set v0 netns {there.pid}")
        # Made with the number of the one that left, which the other namespace knows it by.
        run(f"ip link add v0 index {ifindex} type veth peer name v2")
        tcx.attach(ifindex, INGRESS, load())
        assert tcx.elsewhere(ifindex, set()) == {program_id(old)}
        assert not tcx.severed(INGRESS)
        there.communicate()
    run("ip link del v0")
    while not tcx.severed(INGRESS):
        time.sleep(0.01)
    while any(pin.name.startswith("stray") for pin in pins.iterdir()):
        tcx.unlink_severed(INGRESS)
        time.sleep(0.01)
    assert tcx.elsewhere(None, set()) == frozenset()


def test_what_left_is_freed_when_nothing_is_to_be_left_behind(
    either: InterfaceFilter, pins: Path, ifindex: int, load: Programs
) -> None:
    program = load()
    for hook in Hook:
        either.attach(ifindex, hook, program if hook is INGRESS else load())
    run("ip link set v0 name old")
    known = {program_id(program)} | {
        seat.program_id for hook in Hook for seat in either.observe(ifindex, hook)
    }
    assert either.elsewhere(None, known) == known
    either.free(None, known)
    assert either.elsewhere(None, known) == frozenset()
    assert all(either.observe(ifindex, hook) == () for hook in Hook)
    assert not pins.exists() or not list(pins.iterdir())


def test_filters_of_other_interfaces_agents_are_not_ours_to_free(
    pins: Path, ifindex: int, load: Programs
) -> None:
    clsact_kind = InterfaceFilter(pins, AttachKind.CLSACT)
    clsact_kind.attach(ifindex, INGRESS, load())
    assert clsact_kind.elsewhere(None, set()) == frozenset()
    clsact_kind.free(None, set())
    assert len(clsact_kind.observe(ifindex, INGRESS)) == 1
