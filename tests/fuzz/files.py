# SPDX-License-Identifier: Apache-2.0
"""What is read back from the disk, which a crash, another version or a hand may have left."""

import fcntl
import json
import math
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from krait.agent.desired import Named
from krait.agent.managed.orders import VERSION, Orders, Trial, read_orders, read_trial
from krait.agent.state import Fault, Live, Record, read_live, read_records
from krait.common.errors import KraitError
from krait.kernel.lock import holder
from krait.policy.endpoint import parse
from krait.policy.numbering import Numbers
from tests.fuzz.target import Target

T = TypeVar("T")


class File:
    """One in memory, with a path that anybody can open."""

    def __init__(self) -> None:
        self._fd = os.memfd_create("krait-fuzz")
        self.path = Path(f"/proc/self/fd/{self._fd}")

    def holding(self, data: bytes) -> Path:
        """Its path, once it has this content."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, data, 0)
        return self.path

    def lock(self) -> None:
        """From here on this process is its holder."""
        fcntl.flock(self._fd, fcntl.LOCK_EX)


_FILE, _LOCK = File(), File()
_LOCK.lock()
_HOLDER = os.getpid()  # not the one of a fuzzer that is forked later, which shares the lock


def _understood(read: Callable[..., T], data: bytes) -> T:
    """What never raises; ValueError if it told that it did not understand."""
    told: list[str] = []
    found = read(_FILE.holding(data), told.append)
    if told:
        raise ValueError(told[0])
    return found


def read_records_back(data: bytes) -> None:
    """What is read is written so that it reads the same."""
    for each in _understood(read_records, data):
        written = f'{{"version": 1, "commits": [{each.text}]}}'.encode()
        assert _understood(read_records, written) == (each,)
        assert 0 <= each.revision < 1 << 31
        assert all(len(key) == 32 for key in each.peers)


def read_live_back(data: bytes) -> None:
    """What an agent said of itself."""
    found = _understood(read_live, data)
    if found is not None:
        assert _understood(read_live, json.dumps(asdict(found)).encode()) == found
        assert found.pid >= 0
        assert math.isfinite(found.since_s)


def read_orders_back(data: bytes) -> None:
    """What is ordered names files that can be."""
    found = read_orders(_FILE.holding(data))
    if found is not None:
        for path in (found.config, found.userspace or ""):
            with suppress(OSError):
                Path(path).stat()


def read_trial_back(data: bytes) -> None:
    """A trial ends some day."""
    found = read_trial(_FILE.holding(data))
    if found is not None:
        assert math.isfinite(found.left_s())


def read_lock(data: bytes) -> None:
    """A lock that this process has, whatever its file says."""
    assert holder(_LOCK.holding(data)) in (0, _HOLDER)


def read_endpoint(data: bytes) -> None:
    """Where a node is, as WireGuard, a document or a resolver says it: the same once written."""
    found = parse(data.decode(errors="surrogateescape"))
    assert parse(str(found)) == found
    assert 0 < found.port < 1 << 16


_KEY = bytes(range(32))
_NUMBERS = Numbers(
    identities=(frozenset({"web"}), None, frozenset({"db", "prod"})),
    rules=("web-to-db", None),
    peers=(_KEY, None),
    shadow_rules=("trial",),
)
_RECORD = Record(7, 1.7e9, "/etc/krait/wg0.yaml", "ab" * 32, _NUMBERS, {_KEY: Named("a", ("web",))})
_LIVE = Live(
    *(4711, 1.7e9, "tcx", True, 7),
    faults=(Fault("no room", "make some", 1.7e9, "commit"),),
    warnings=("careful",),
    withheld=("10.8.0.2/32",),
)
_ORDERS = {"version": VERSION, **asdict(Orders("/etc/krait/wg0.yaml", "a", None, "tcx"))}
_TRIALS = [
    {"version": VERSION, **asdict(Trial("b007", 4711.5, before))}
    for before in (None, Orders("/etc/krait/wg0.yaml"))
]
_ENDPOINTS = (b"192.0.2.1:51820", b"[fe80::1%3]:51820", b"hub.example.org:51820")


def _json(*found: object) -> tuple[bytes, ...]:
    return tuple(json.dumps(each).encode() for each in found)


TARGETS: Mapping[str, Target] = {
    "records": Target(
        read_records_back,
        (ValueError,),
        (f'{{"version": 1, "commits": [{_RECORD.text}, {_RECORD.text}]}}'.encode(),),
        runs=10_000,
    ),
    "live": Target(read_live_back, (ValueError,), _json(asdict(_LIVE)), runs=12_000),
    "orders": Target(read_orders_back, (KraitError,), _json(_ORDERS), runs=12_000),
    "trial": Target(read_trial_back, (KraitError,), _json(*_TRIALS), runs=12_000),
    "endpoint": Target(read_endpoint, (KraitError,), _ENDPOINTS),
    "lock": Target(read_lock, (), (b"4711\n", f"{_HOLDER}\n".encode()), runs=6_000),
}
