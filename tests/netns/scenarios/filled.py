# SPDX-License-Identifier: Apache-2.0
"""A table of flows that is full, by hand: as many packets would take minutes."""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from ipaddress import ip_address
from pathlib import Path
from struct import unpack

from krait.agent.paths import Paths
from krait.common.abi import FlowState
from krait.common.structs import FLOW, FLOW_KEY
from krait.kernel.bpf.clock import TickClock
from krait.kernel.datapath import Datapath
from krait.kernel.generations import Generations
from krait.lab.namespace import NamespaceMachine

_ALLOW, _OPENER_IS_B, _TAG_BITS = 1 << 31, 1 << 30, 30
_UDP, _WORD = 17, (1 << 64) - 1
_FACTORS = (
    0x9E3779B97F4A7C15,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0xFF51AFD7ED558CCD,
    0xD6E8FEB86659FD93,
)  # hash_of() in ebpf/krait/flow.h

Ends = tuple[str, str]
"""Who opened, and to whom; of IPv4."""

STATES = {"flows": FlowState.UDP_REPLIED, "unanswered": FlowState.UDP_NEW}
"""Of the flows in each of the two tables, by its name."""


@contextmanager
def tables(machine: NamespaceMachine) -> Iterator[tuple[int, Datapath]]:
    """Of wg0 there, and the number of the load that they are of."""
    root = Path(f"/proc/{machine.pid}/root")
    pins = Paths(pins=root / "sys/fs/bpf/krait").pins_of("wg0")
    with closing(Generations(pins)) as generations:
        found = generations.found()[-1]
        yield found.number, generations.open(found)


def fill(datapath: Datapath, table: str, ends: Ends, ports: Iterable[int], port: int) -> None:
    """As if so many flows, one from each of `ports`, had been opened just now under the first rule
    and, if the table is the one of these, answered.
    """
    with TickClock() as clock:
        now = clock.now() & 0xFFFF_FFFF
    opener_is_b = _OPENER_IS_B if int(ip_address(ends[0])) > int(ip_address(ends[1])) else 0
    keys = [key(ends, each, port) for each in ports]
    values = [
        FLOW.codec.pack(
            datapath.in_force.revision << 32 | _ALLOW | opener_is_b | _tag(each),
            *(now, 1, STATES[table], 0),
        )
        for each in keys
    ]
    datapath.maps[table].update_batch(b"".join(keys), b"".join(values), len(keys))


def held(datapath: Datapath, table: str) -> frozenset[bytes]:
    """The keys of all that a table has, as `key` makes them."""
    size = FLOW_KEY.size_bytes
    return frozenset(
        keys[at : at + size]
        for keys, _ in datapath.maps[table].items()
        for at in range(0, len(keys), size)
    )


def key(ends: Ends, source_port: int, port: int) -> bytes:
    """Of a flow of UDP."""
    there = [(int(ip_address(ends[0])), source_port), (int(ip_address(ends[1])), port)]
    (a, port_a), (b, port_b) = sorted(there)
    return FLOW_KEY.codec.pack(0, a, 0, b, port_a, port_b, _UDP, 4, 0)


def _tag(packed: bytes) -> int:
    words = unpack("=5Q", packed)
    hashed: int = sum(word * by for word, by in zip(words, _FACTORS, strict=True)) & _WORD
    return hashed >> 64 - _TAG_BITS
