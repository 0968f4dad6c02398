# SPDX-License-Identifier: Apache-2.0
"""The packet that a rejected one is made, by BPF_PROG_TEST_RUN, and the ways on which it passes."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from random import Random
from struct import pack

import pytest

from krait.common.abi import REJECTIONS_PER_S, RejectionOutcome
from krait.common.structs import BUDGET
from krait.kernel.bpf.clock import ticks_per_second
from krait.kernel.bpf.testrun import Run, ethernet, run
from krait.kernel.datapath import Datapath
from krait.kernel.hook import Hook
from krait.policy.packet import ETHERTYPE
from krait.policy.rejection import rejection
from tests.kernel.loaded import DROP, HERE, PASS, PEER, Loaded, compiled, packet

REDIRECT = 7  # TC_ACT_REDIRECT
ROOM_BYTES = 1 << 16
REJECT = "{name: no, from: db, to: web, action: reject}"
DENY = REJECT.replace("reject", "deny")


@contextmanager
def rejecting() -> Iterator[Loaded]:
    policy = compiled(REJECT)
    loaded = Loaded(policy)
    with closing(loaded.datapath):
        loaded.put(policy)
        yield loaded


@pytest.fixture
def loaded() -> Iterator[Loaded]:
    with rejecting() as loaded:
        yield loaded


@pytest.fixture(scope="module")
def teller() -> Iterator[Loaded]:
    """For what leaves nothing behind but a budget that lasts: a load takes long in a guest."""
    with rejecting() as loaded:
        yield loaded


def leaves(loaded: Loaded, frame: bytes, *, mark: int = 0, hook: Hook = Hook.EGRESS) -> Run:
    fd = loaded.datapath.programs[hook].fd
    return run(fd, frame, room_bytes=ROOM_BYTES, mark=mark)


def told(datapath: Datapath) -> dict[RejectionOutcome, int]:
    counts = datapath.counts("rejections")
    return {each: counts[each].packets for each in RejectionOutcome if counts[each].packets}


def datagram(data: bytes, options: bytes = b"") -> bytes:
    """From this node to the peer; IPv4 options make the header longer."""
    header = packet(HERE, PEER)[14:34]
    words, total = 5 + len(options) // 4, 28 + len(options) + len(data)
    header = pack(">BBH", 0x40 | words, 0, total) + header[4:]
    return header + options + pack(">HHHH", 40000, 53, 8 + len(data), 0) + data


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 200, 475, 476, 477, 519, 520, 521, 1300])
@pytest.mark.parametrize("options", [b"", b"\1" * 40], ids=["plain", "with options"])
def test_an_error_quotes_any_length_byte_for_byte(
    teller: Loaded, size: int, options: bytes
) -> None:
    sent = datagram(Random(size).randbytes(size), options)  # noqa: S311 - no secret
    ran = leaves(teller, ethernet(sent))
    assert ran.verdict == REDIRECT
    assert ran.frame[14:] == rejection(sent, ETHERTYPE[4])


def test_a_deny_hands_nothing_back() -> None:
    policy = compiled(DENY)
    loaded = Loaded(policy)
    with closing(loaded.datapath):
        loaded.put(policy)
        sent = ethernet(datagram(b"hello"))
        ran = leaves(loaded, sent)
        assert (ran.verdict, ran.frame, ran.mark) == (DROP, sent, 0)
        assert told(loaded.datapath) == {}


def test_what_comes_back_passes_once_by_its_mark_and_loses_it(loaded: Loaded) -> None:
    ran = leaves(loaded, ethernet(datagram(b"hello")))
    assert ran.mark != 0
    back = leaves(loaded, ran.frame, mark=ran.mark, hook=Hook.INGRESS)
    assert (back.verdict, back.mark, back.frame) == (PASS, 0, ran.frame)
    assert leaves(loaded, ran.frame, hook=Hook.INGRESS).verdict == DROP
    assert leaves(loaded, ran.frame, mark=ran.mark ^ 1, hook=Hook.INGRESS).verdict == DROP


def test_a_marked_packet_does_not_leave_by_its_mark(loaded: Loaded) -> None:
    """A process with CAP_NET_RAW chooses the mark of its packets."""
    mark = leaves(loaded, ethernet(datagram(b"hello"))).mark
    assert leaves(loaded, ethernet(datagram(b"a way out?")), mark=mark).verdict == REDIRECT
    assert told(loaded.datapath) == {RejectionOutcome.SENT: 2}


def test_what_ingress_hands_back_leaves_and_only_that() -> None:
    policy = compiled(
        REJECT.replace("from: db, to: web", "from: web, to: db"),
        limits="{}\n  reject_ingress: true",
    )
    loaded = Loaded(policy)
    with closing(loaded.datapath):
        loaded.put(policy)
        for _ in range(50):  # on a busy machine the next tick but one may come in between
            ran = leaves(loaded, packet(PEER, HERE), hook=Hook.INGRESS)
            assert ran.verdict == REDIRECT
            first, second = (leaves(loaded, ran.frame, mark=ran.mark) for _ in range(2))
            assert second.verdict == DROP
            if first.verdict == PASS:
                break
        assert (first.verdict, first.mark) == (PASS, 0)


def test_what_was_handed_back_and_lost_opens_no_way_out_later() -> None:
    arrives = REJECT.replace("from: db, to: web", "from: web, to: db")
    policy = compiled(arrives, limits="{}\n  reject_ingress: true")
    loaded = Loaded(policy)
    with closing(loaded.datapath):
        loaded.put(policy)
        ran = leaves(loaded, packet(PEER, HERE), hook=Hook.INGRESS)
        time.sleep(5 / ticks_per_second())  # as if another program had dropped it
        assert leaves(loaded, ran.frame, mark=ran.mark).verdict == DROP


def test_neighbours_have_budgets_of_their_own() -> None:
    """Of those that differ in the last byte alone hardly two share one."""
    hosts = [f"10.8.0.{number}" for number in range(2, 202)]
    arrives = "{name: no, from: web, to: db, action: reject}"
    policy = compiled(arrives, limits="{}\n  reject_ingress: true", peer=" ".join(hosts))
    loaded = Loaded(policy)
    with closing(loaded.datapath):
        loaded.put(policy)
        for host in hosts:
            assert leaves(loaded, packet(host, HERE), hook=Hook.INGRESS).verdict == REDIRECT
        budgets = loaded.datapath.maps["rejection_budgets"]
        used = sum(any(value) for _, values in budgets.items() for value in _each(values))
        assert used > 100


def _each(values: bytes) -> list[bytes]:
    return [values[at : at + BUDGET.size_bytes] for at in range(0, len(values), BUDGET.size_bytes)]


def test_every_load_draws_its_own_mark(loaded: Loaded) -> None:
    policy = compiled(REJECT)
    other = Loaded(policy)
    with closing(other.datapath):
        other.put(policy)
        sent = ethernet(datagram(b"hello"))
        assert leaves(loaded, sent).mark != leaves(other, sent).mark


def test_a_sender_that_was_told_often_enough_is_told_no_more(loaded: Loaded) -> None:
    sent = ethernet(datagram(b"hello"))
    ran = next(ran for ran in (leaves(loaded, sent) for _ in range(50_000)) if ran.verdict == DROP)
    assert (ran.frame, ran.mark) == (sent, 0)
    counted = told(loaded.datapath)
    assert counted[RejectionOutcome.LIMITED] == 1
    assert counted[RejectionOutcome.SENT] >= REJECTIONS_PER_S
