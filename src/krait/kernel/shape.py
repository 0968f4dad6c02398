# SPDX-License-Identifier: Apache-2.0
"""Which tables a load has and how large they are: given to the object before it is loaded, and told
by the tables afterwards.

What cannot be read off the maps themselves stands in one of them, `shape`.
"""

from collections.abc import Mapping
from secrets import randbelow

from krait.common import abi, structs
from krait.common.abi import (
    ABI_VERSION,
    FLOW_TIMEOUT_S,
    FRAGMENT_TIMEOUT_S,
    FlowState,
    PairLayout,
    Rehearsal,
)
from krait.common.errors import SystemRefused
from krait.kernel.bpf.btf import check_enum, check_layouts
from krait.kernel.bpf.clock import ticks_per_second
from krait.kernel.bpf.map import Map
from krait.kernel.bpf.object import BpfObject
from krait.policy.capacity import Capacity

TABLES = {
    "control": 1,
    "self": abi.SLOTS,
    "addr4": abi.SLOTS,
    "addr6": abi.SLOTS,
    "prefix4": abi.SLOTS,
    "prefix6": abi.SLOTS,
    "principal": abi.SLOTS,
    "pair": abi.SLOTS,
    "shadow_pair": abi.SLOTS,
    "ports": 1,
    "flows": 1,
    "unanswered": 1,
    "budgets": 1,
    "fragments": 1,
    "ends": abi.SLOTS,
    "rejecting": abi.SLOTS,
    "rules": 1,
    "shadow_rules": 1,
    "reasons": 1,
    "rejections": 1,
    "rejection_budgets": 1,
    "peers": 1,
    "shape": 1,
}
"""Every table that outlives the agent, and how many slots share it."""

_SIZED = ("addr4", "addr6", "prefix4", "prefix6", "principal", "pair", "ports", "rules", "peers")
_ZERO_KEY = bytes(4)


def prepare(program: BpfObject, capacity: Capacity, test_ifindex: int) -> None:
    """Hold an opened object against the ABI, and give it its sizes and constants."""
    check_layouts(program.btf, structs.LAYOUTS)
    for tag, numbers in abi.ENUMERATIONS.items():
        check_enum(program.btf, tag, numbers)
    for name in _SIZED:
        program.resize(name, getattr(capacity, name) * TABLES[name])
    program.resize("budgets", capacity.peers)
    program.resize("ends", capacity.rules * abi.SLOTS)
    program.resize("rejecting", capacity.rules * abi.SLOTS)
    program.set_constant("n_rules", capacity.rules)
    program.set_constant("rejection_mark", 1 + randbelow((1 << 32) - 1))
    if capacity.shadow_rules:
        program.resize("shadow_rules", capacity.shadow_rules * len(Rehearsal))
        program.resize("shadow_pair", capacity.pair * abi.SLOTS)
        program.set_constant("shadowing", 1)
    for name in ("addr4", "addr6", "principal", "pair"):
        program.set_constant(f"n_{name}", getattr(capacity, name))
    hz = ticks_per_second()
    program.set_constant("pair_layout", capacity.layout)
    program.set_constant("timeout_ticks", [FLOW_TIMEOUT_S[state] * hz for state in FlowState])
    program.set_constant("fragment_ticks", FRAGMENT_TIMEOUT_S * hz)
    program.set_constant("ticks_per_second", hz)
    program.set_constant("test_ifindex", test_ifindex)


def tell(maps: Mapping[str, Map], capacity: Capacity, build: int) -> None:
    """Write down, for who opens these tables later, what they were loaded for and from."""
    shape = structs.SHAPE.codec.pack(
        ABI_VERSION,
        capacity.layout,
        capacity.columns,
        bool(capacity.shadow_rules),
        abi.FLOW_VERSION,
        0,
        build,
    )
    maps["shape"].update(_ZERO_KEY, shape)


def capacity_of(maps: Mapping[str, Map]) -> Capacity:
    """How large these are, whoever loaded them. Raises SystemRefused if of another layout."""
    version, layout, columns, shadowing, *_ = _told(maps)
    if version != ABI_VERSION:
        raise SystemRefused(
            f"the pinned tables have layout {version}; this Krait reads {ABI_VERSION}",
            hint="take the filter off with the version that made it: krait detach INTERFACE",
        )
    sizes = {name: maps[name].info.max_entries // TABLES[name] for name in _SIZED}
    shadow_rules = maps["shadow_rules"].info.max_entries // len(Rehearsal) if shadowing else 0
    return Capacity(**sizes, columns=columns, layout=PairLayout(layout), shadow_rules=shadow_rules)


def build_in(maps: Mapping[str, Map]) -> int:
    """Which object they were loaded from, as `datapath.build_of` tells them apart."""
    *_, build = _told(maps)
    return int(build)


def _told(maps: Mapping[str, Map]) -> tuple[int, ...]:
    shape = maps["shape"].lookup(_ZERO_KEY) or bytes(structs.SHAPE.size_bytes)
    return structs.SHAPE.codec.unpack(shape)
