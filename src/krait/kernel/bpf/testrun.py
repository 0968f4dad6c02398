# SPDX-License-Identifier: Apache-2.0
"""Running a classifier on a packet without an interface, by BPF_PROG_TEST_RUN.

The kernel takes the first 14 bytes for an Ethernet header, sets `skb->protocol` by it, and gives
the program `data` at that header, which a WireGuard device does not have: the program must be told
(net/bpf/test_run.c).
"""

import ctypes
from ctypes import addressof, c_char_p, c_int32, c_uint8, c_uint32, c_uint64
from dataclasses import dataclass

from krait.kernel.bpf.syscall import Command, bpf

_ETHERTYPE = {4: 0x0800, 6: 0x86DD}
_CB_WORDS = 5
_NO_CB = (0,) * _CB_WORDS


@dataclass(frozen=True, slots=True)
class Run:
    """What a program answered."""

    verdict: int
    """TC_ACT_*; TC_ACT_UNSPEC is -1."""
    duration_ns: int
    """Mean of all repetitions."""
    cb: tuple[int, ...]
    """The five words of `skb->cb` as the last repetition left them."""
    mark: int
    """`skb->mark` likewise."""
    frame: bytes
    """What the frame was made; empty if nobody asked for it."""


class _Context(ctypes.Structure):
    """struct __sk_buff; a test may set mark, priority, ifindex, cb, gso_segs and few others."""

    _fields_ = (
        ("len", c_uint32),
        ("pkt_type", c_uint32),
        ("mark", c_uint32),
        ("queue_mapping", c_uint32),
        ("protocol", c_uint32),
        ("vlan_present", c_uint32),
        ("vlan_tci", c_uint32),
        ("vlan_proto", c_uint32),
        ("priority", c_uint32),
        ("ingress_ifindex", c_uint32),
        ("ifindex", c_uint32),
        ("tc_index", c_uint32),
        ("cb", c_uint32 * _CB_WORDS),
        ("not_for_tests", c_uint8 * 92),
        ("wire_len", c_uint32),
        ("gso_segs", c_uint32),
        ("rest", c_uint8 * 88),  # the kernel wants room for all it may know: 256 bytes
    )


class _TestAttr(ctypes.Structure):
    _fields_ = (
        ("program_fd", c_uint32),
        ("verdict", c_int32),
        ("data_in_bytes", c_uint32),
        ("data_out_bytes", c_uint32),
        ("data_in", c_char_p),
        ("data_out", c_uint64),
        ("repeat", c_uint32),
        ("duration_ns", c_uint32),
        ("context_in_bytes", c_uint32),
        ("context_out_bytes", c_uint32),
        ("context_in", c_uint64),
        ("context_out", c_uint64),
        ("flags", c_uint32),
        ("cpu", c_uint32),
        ("batch_size", c_uint32),
    )


def ethernet(packet: bytes, ethertype: int | None = None) -> bytes:
    """An IP packet behind an Ethernet header; the type is that of its version unless given."""
    if ethertype is None:
        ethertype = _ETHERTYPE[packet[0] >> 4]
    return bytes(12) + ethertype.to_bytes(2, "big") + packet


def run(
    program_fd: int,
    frame: bytes,
    *,
    repeat: int = 1,
    ifindex: int = 0,
    ingress_ifindex: int = 0,
    gso_segs: int = 0,
    mark: int = 0,
    cb: tuple[int, ...] = _NO_CB,
    room_bytes: int = 0,
) -> Run:
    """Run a program `repeat` times on `frame`, an Ethernet header of 14 bytes and what follows.

    `ifindex` 0 is loopback, 1, as the program sees it. `ingress_ifindex` is where the packet came
    in, 0 if it was made here. The frame is handed back if there is room for it; a longer one is an
    error.
    """
    context = _Context(
        ifindex=ifindex, ingress_ifindex=ingress_ifindex, gso_segs=gso_segs, mark=mark, cb=cb
    )
    room = ctypes.create_string_buffer(room_bytes)
    attr = _TestAttr(
        program_fd=program_fd,
        data_in=frame,
        data_in_bytes=len(frame),
        data_out=addressof(room) if room_bytes else 0,
        data_out_bytes=room_bytes,
        repeat=repeat,
        context_in=addressof(context),
        context_in_bytes=ctypes.sizeof(context),
        context_out=addressof(context),  # read before the run, written after it
        context_out_bytes=ctypes.sizeof(context),
    )
    bpf(Command.PROG_TEST_RUN, attr, "program")
    made = room.raw[: attr.data_out_bytes] if room_bytes else b""
    return Run(attr.verdict, attr.duration_ns, tuple(context.cb), context.mark, made)
