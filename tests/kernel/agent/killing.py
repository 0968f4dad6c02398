# SPDX-License-Identifier: Apache-2.0
"""Processes that die by SIGKILL before a call into the kernel, or after a part of their time.

KRAIT_KILLS=500 for more of them than an ordinary run has, KRAIT_SEED for the same again.
"""

import ctypes
import json
import os
import random
import signal
import time
import traceback
from collections.abc import Callable
from typing import NamedTuple, ParamSpec, TypeVar

from krait.kernel.bpf import syscall, testrun
from krait.kernel.bpf.syscall import LIBC
from krait.kernel.datapath import Datapath
from krait.kernel.netlink import Netlink

KILLS = int(os.environ.get("KRAIT_KILLS", "40"))
SEED = int(os.environ.get("KRAIT_SEED", str(random.randrange(1 << 32))))  # noqa: S311 - no secret

P = ParamSpec("P")
T = TypeVar("T")
Act = Callable[[], object]

_GET_FD_BY_ID = 13  # BPF_PROG_GET_FD_BY_ID, which Krait itself may not call
_CALLS = ("rename", "unlink", "mkdir", "rmdir", "fsync", "open")


class Cost(NamedTuple):
    """What a process does that lives."""

    calls: int
    """Into the kernel."""
    length_s: float


def rehearse(act: Act) -> Cost:
    """What it costs to act once, in a process of its own."""
    began_s = time.monotonic()
    reader, writer = os.pipe()
    calls = [0]

    def count() -> None:
        calls[0] += 1

    def act_and_tell() -> None:
        act()
        os.write(writer, json.dumps(calls).encode())

    pid = _fork(act_and_tell, count)
    os.close(writer)
    _, status = os.waitpid(pid, 0)
    assert status == 0
    with os.fdopen(reader) as file:
        (made,) = json.load(file)
    return Cost(made, time.monotonic() - began_s)


def kill(act: Act, cost: Cost, chance: random.Random) -> str:
    """Have a process act that dies; `killed`, or `lived` if it was faster."""
    if chance.random() < 0.3:  # in the middle of what it does not call itself, such as libbpf
        pid = _fork(act, lambda: None)
        time.sleep(chance.uniform(0, cost.length_s))
        os.kill(pid, signal.SIGKILL)
        return _end_of(pid)
    return kill_before(act, chance.randint(1, cost.calls))


def kill_before(act: Act, call: int) -> str:
    """Have a process act that dies before a call into the kernel, counted from 1; as `kill`."""
    left = [call]

    def count() -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    return _end_of(_fork(act, count))


def _end_of(pid: int) -> str:
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    return "killed" if status else "lived"


def verdict(number: int, packet: bytes) -> int:
    """What a program says of a packet, by the kernel's number for it."""
    attr = (ctypes.c_uint32 * 4)(number)
    fd = LIBC.syscall(syscall._number(), _GET_FD_BY_ID, attr, ctypes.sizeof(attr))  # noqa: SLF001 - the kernel's number for bpf(2)
    assert fd >= 0, os.strerror(ctypes.get_errno())
    try:
        return testrun.run(fd, testrun.ethernet(packet)).verdict
    finally:
        os.close(fd)


def _fork(act: Act, count: Callable[[], None]) -> int:
    """A process that acts; `count` is called before each call into the kernel."""
    if pid := os.fork():
        return pid
    code = 1
    try:
        _count_calls(count)
        act()
        code = 0
    except Exception:  # noqa: BLE001 - nothing of this process may go on as the test
        traceback.print_exc()
    finally:
        os._exit(code)


def _count_calls(count: Callable[[], None]) -> None:
    syscall._syscall = _counted(syscall._syscall, count)  # type: ignore[assignment]  # noqa: SLF001 - the place that all calls go through
    for name in _CALLS:
        setattr(os, name, _counted(getattr(os, name), count))
    Netlink.ask = _counted(Netlink.ask, count)  # type: ignore[method-assign]
    Datapath.commit = _counted(Datapath.commit, count)  # type: ignore[method-assign]


def _counted(call: Callable[P, T], count: Callable[[], None]) -> Callable[P, T]:
    def counting(*arguments: P.args, **named: P.kwargs) -> T:
        count()
        return call(*arguments, **named)

    return counting
