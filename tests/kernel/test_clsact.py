# SPDX-License-Identifier: Apache-2.0
"""Filters on a veth in a namespace of the test's own; `tc` plays everybody else."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from krait.common.errors import SystemRefused
from krait.kernel import clsact
from krait.kernel.hook import Hook
from tests.kernel.classifier import DROP, GO_ON, classifier, program_id
from tests.requirements import need_tools

need_tools("ip", "tc")

NOBODY = 1 << 30
"""An interface index that is not in use."""


def run(command: str) -> None:
    """Run a command; two underscores are a blank inside a word."""
    subprocess.run([word.replace("__", " ") for word in command.split()], check=True)


@pytest.fixture
def ifindex(netns: None) -> int:  # noqa: ARG001 - its effect is the namespace
    run("ip link add v0 type veth peer name v1")
    run("ip link set v0 up")
    run("ip link set v1 up")
    return socket.if_nametoindex("v0")


@pytest.fixture
def program() -> Iterator[int]:
    with classifier(GO_ON) as fd:
        yield fd


@pytest.mark.parametrize("hook", Hook)
def test_an_attached_filter_is_listed_as_ours_with_its_program(
    ifindex: int, program: int, hook: Hook
) -> None:
    assert clsact.ensure_qdisc(ifindex)
    clsact.attach(ifindex, hook, program)
    assert clsact.query(ifindex, hook) == (
        clsact.Filter(1, 1, "bpf", f"krait_{hook.value}", program_id(program), ours=True),
    )
    (other,) = set(Hook) - {hook}
    assert clsact.query(ifindex, other) == ()


def test_a_qdisc_that_is_there_already_is_left_as_it_is(ifindex: int) -> None:
    run("tc qdisc add dev v0 clsact")
    assert not clsact.ensure_qdisc(ifindex)


def test_an_ingress_qdisc_in_the_place_of_clsact_is_refused_with_the_mend(ifindex: int) -> None:
    run("tc qdisc add dev v0 ingress")
    with pytest.raises(SystemRefused, match="ingress qdisc") as caught:
        clsact.ensure_qdisc(ifindex)
    assert "tc qdisc del" in caught.value.hint
    assert not clsact.remove_qdisc(ifindex)


def test_without_a_qdisc_or_an_interface_there_are_no_filters(ifindex: int) -> None:
    assert clsact.query(ifindex, Hook.INGRESS) == ()
    assert clsact.query(NOBODY, Hook.INGRESS) == ()


@pytest.mark.parametrize("protocol", ["all", "ip"])
def test_a_taken_pref_is_reported_with_who_is_there(
    ifindex: int, program: int, protocol: str
) -> None:
    clsact.ensure_qdisc(ifindex)
    run(f"tc filter add dev v0 egress pref 1 protocol {protocol} u32 match u32 0 0")
    with pytest.raises(clsact.Occupied, match="u32") as caught:
        clsact.attach(ifindex, Hook.EGRESS, program)
    assert {each.kind for each in caught.value.filters} == {"u32"}
    assert not any(each.ours for each in clsact.query(ifindex, Hook.EGRESS))


def test_our_own_filter_is_not_attached_twice(ifindex: int, program: int) -> None:
    clsact.ensure_qdisc(ifindex)
    clsact.attach(ifindex, Hook.INGRESS, program)
    with pytest.raises(clsact.Occupied) as caught:
        clsact.attach(ifindex, Hook.INGRESS, program)
    assert [each.ours for each in caught.value.filters] == [True]


def test_filters_are_listed_in_the_order_in_which_they_run(ifindex: int, program: int) -> None:
    clsact.ensure_qdisc(ifindex)
    run("tc filter add dev v0 ingress pref 9 protocol all u32 match u32 0 0")
    run("tc filter add dev v0 ingress pref 1 protocol all u32 match u32 0 0")
    clsact.attach(ifindex, Hook.INGRESS, program, pref=2)
    filters = list(clsact.query(ifindex, Hook.INGRESS))
    assert sorted({each.pref for each in filters}) == [1, 2, 9]
    assert filters == sorted(filters, key=lambda each: each.pref)
    assert [each.ours for each in filters if each.pref == 2] == [True]


def test_a_filter_of_another_chain_is_told_apart(ifindex: int, program: int) -> None:
    clsact.ensure_qdisc(ifindex)
    run("tc filter add dev v0 ingress chain 7 pref 1 protocol all u32 match u32 0 0")
    clsact.attach(ifindex, Hook.INGRESS, program)
    assert {each.chain for each in clsact.query(ifindex, Hook.INGRESS)} == {0, 7}


def test_replacing_keeps_the_place_and_changes_the_program(ifindex: int, program: int) -> None:
    clsact.ensure_qdisc(ifindex)
    clsact.attach(ifindex, Hook.INGRESS, program, pref=3)
    with classifier(GO_ON) as newer:
        clsact.replace(ifindex, Hook.INGRESS, newer)
        (filter_,) = clsact.query(ifindex, Hook.INGRESS)
        assert (filter_.pref, filter_.handle) == (3, 1)
        assert filter_.program_id == program_id(newer) != program_id(program)


def test_replacing_what_is_not_there_is_refused_and_makes_nothing(
    ifindex: int, program: int
) -> None:
    clsact.ensure_qdisc(ifindex)
    with pytest.raises(SystemRefused, match="no krait_egress"):
        clsact.replace(ifindex, Hook.EGRESS, program)
    assert clsact.query(ifindex, Hook.EGRESS) == ()


def _received() -> int:
    """Packets that v1 has received."""
    for line in Path("/proc/thread-self/net/dev").read_text().splitlines():
        name, _, counters = line.partition(":")
        if name.strip() == "v1":
            return int(counters.split()[1])
    raise AssertionError("v1 is gone")


def test_no_packet_passes_unseen_while_programs_are_swapped(ifindex: int) -> None:
    frame = b"\xff" * 12 + b"\x88\xb5" + bytes(46)
    clsact.ensure_qdisc(ifindex)
    sent, stop = [0], threading.Event()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("v0", 0))
        before = _received()
        wire.send(frame)
        assert _received() > before, "the wire carries packets while there is no filter"

        def flood() -> None:
            while not stop.is_set():
                with suppress(OSError):  # ENOBUFS is how a dropped packet is answered
                    wire.send(frame)
                sent[0] += 1

        with classifier(DROP) as one, classifier(DROP) as other:
            clsact.attach(ifindex, Hook.EGRESS, one)
            before = _received()
            thread = threading.Thread(target=flood)
            thread.start()
            try:
                for _ in range(1000):
                    clsact.replace(ifindex, Hook.EGRESS, other)
                    clsact.replace(ifindex, Hook.EGRESS, one)
            finally:
                stop.set()
                thread.join()
    assert sent[0] > 1000
    assert _received() == before


def test_detaching_takes_ours_and_leaves_the_filters_of_others(ifindex: int, program: int) -> None:
    clsact.ensure_qdisc(ifindex)
    clsact.attach(ifindex, Hook.INGRESS, program)
    run("tc filter add dev v0 ingress pref 2 protocol all bpf da bytecode 1,6__0__0__4294967295,")
    clsact.detach(ifindex, Hook.INGRESS)
    left = clsact.query(ifindex, Hook.INGRESS)
    assert left == (clsact.Filter(2, 1, "bpf", "", 0, ours=False),)
    assert not clsact.remove_qdisc(ifindex)
    assert clsact.query(ifindex, Hook.INGRESS) == left


def test_detaching_from_where_there_is_nothing_is_no_error(ifindex: int) -> None:
    clsact.detach(ifindex, Hook.INGRESS)
    clsact.detach(NOBODY, Hook.INGRESS)
    assert not clsact.remove_qdisc(NOBODY)


def test_an_empty_qdisc_is_removed_and_one_with_a_filter_on_either_side_is_not(
    ifindex: int, program: int
) -> None:
    for hook in Hook:
        assert clsact.ensure_qdisc(ifindex)
        clsact.attach(ifindex, hook, program)
        assert not clsact.remove_qdisc(ifindex)
        clsact.detach(ifindex, hook)
        assert clsact.remove_qdisc(ifindex)


def test_attaching_to_an_interface_that_is_gone_is_refused_in_the_kernels_words(
    program: int,
) -> None:
    with pytest.raises(SystemRefused, match=f"cannot attach to ingress of interface {NOBODY}: "):
        clsact.attach(NOBODY, Hook.INGRESS, program)
    with pytest.raises(SystemRefused, match="cannot change the clsact qdisc"):
        clsact.ensure_qdisc(NOBODY)
