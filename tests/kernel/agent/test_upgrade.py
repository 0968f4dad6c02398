# SPDX-License-Identifier: Apache-2.0
"""One version of Krait after another on one interface: what the new makes of the old one's load.

The older build is the same source with something more in it, compiled here; another layout is
played by what tells one: the name of the folder, and `shape`.
"""

import shutil
import subprocess
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from krait.agent.diff import ObservedTables
from krait.common import abi, structs
from krait.kernel.bpf.clock import TickClock
from krait.kernel.bpf.map import Map
from krait.kernel.bpf.mapinfo import MapInfo, MapType
from krait.kernel.datapath import OBJECT
from krait.kernel.hook import Hook
from krait.policy.flow import FlowTuple
from krait.policy.model import UDP
from tests.kernel.agent.test_apply import (
    RENAMED,
    WEB_RULE,
    Keeper,
    count,
    counted,
    folder,
    ifindex,
    keep,
    stack,
)
from tests.kernel.mutants.mutant import EBPF

__all__ = ["folder", "ifindex", "stack"]  # fixtures


@pytest.fixture
def older_build(tmp_path: Path) -> Path:
    """Another object of the same layout: it says so of itself, and judges alike."""
    source = shutil.copytree(EBPF, tmp_path / "ebpf")
    program = source / "krait.bpf.c"
    text = program.read_text()
    assert text.count("if (!read_state(x->state))") == 1
    asked_twice = "if (!read_state(x->state) || !read_state(x->state))"
    program.write_text(text.replace("if (!read_state(x->state))", asked_twice))
    target = tmp_path / "older" / "krait.bpf.o"
    target.parent.mkdir()
    subprocess.run([source / "build", target], check=True, capture_output=True)
    return target


def planned(keeper: Keeper) -> ObservedTables:
    found = keeper.enforcement.observe(keeper.ifindex, fresh=False).tables
    assert found is not None
    return found


def flows_of(keeper: Keeper) -> list[FlowTuple]:
    tables = keeper.generations.open(planned(keeper).generation)
    return [each.opener for each in tables.flows()]


def remember(keeper: Keeper) -> None:
    """A flow in the tables, as a packet would have made it."""
    tables = keeper.generations.open(planned(keeper).generation)
    key = structs.FLOW_KEY.codec.pack(0, 0x0A080001, 0, 0x0A080002, 53, 40000, UDP, 4, 0)
    with TickClock() as clock:
        seen = clock.now()
    word = tables.in_force.revision << 32 | 1 << 31 | 1 << 30
    value = structs.FLOW.codec.pack(word, seen & 0xFFFF_FFFF, 1, abi.FlowState.UDP_REPLIED, 0)
    tables.maps["flows"].update(key, value)


def programs_of(keeper: Keeper) -> set[int]:
    assert keeper.ifindex is not None
    seats = [seat for hook in Hook for seat in keeper.hooks.observe(keeper.ifindex, hook)]
    assert len(seats) == len(Hook), "no hook was bare, and none has two"
    return {seat.program_id for seat in seats}


def told_otherwise(keeper: Keeper, version: int, **shape: int) -> None:
    """Make what an agent left look like that of another version."""
    (generation,) = keeper.generations.found()
    keeper.close()
    pins = keeper.generations.folder / generation.name
    with closing(Map.open_pinned(pins / "shape")) as found:
        values = structs.SHAPE.codec.unpack(found.lookup(bytes(4)) or b"")
        fields = dict(zip(structs.SHAPE.offsets(), values, strict=True))
        told = fields | {"abi_version": version} | shape
        found.update(bytes(4), structs.SHAPE.codec.pack(*told.values()))
    pins.rename(pins.with_name(f"{version}-{generation.number}"))


def verbs(done: list[str]) -> list[str]:
    return [each.split()[0] for each in done]


SWAPPED = ["load", "commit", "swap", "swap", "remove"]


@pytest.mark.parametrize("is_upgrade", [True, False], ids=["upgrade", "roll-back"])
def test_another_build_of_the_same_layout_is_swapped_in_and_flows_and_counters_stay(
    folder: Path, ifindex: int, stack: ExitStack, older_build: Path, is_upgrade: bool
) -> None:
    first, second = (older_build, OBJECT) if is_upgrade else (OBJECT, older_build)
    before = keep(folder, ifindex, stack, first)
    before.put_in_force(before.desired())
    assert before.put_in_force(before.desired()) == [], "to itself it is no other"
    programs = programs_of(before)
    remember(before)
    rule = before.enforcement.numbers.rules.index("web-db") + 1
    count(before, rule)
    before.close()
    after = keep(folder, ifindex, stack, second)
    assert verbs(after.put_in_force(after.desired())) == SWAPPED
    assert programs.isdisjoint(programs_of(after))
    assert len(flows_of(after)) == 1
    assert counted(after, rule).packets == 5
    assert after.enforcement.revision > 1
    assert after.put_in_force(after.desired()) == []


@pytest.mark.parametrize("version", [abi.ABI_VERSION - 1, abi.ABI_VERSION + 1])
def test_with_another_layout_of_tables_the_flows_are_gone_on_with(
    folder: Path, ifindex: int, stack: ExitStack, version: int
) -> None:
    """An upgrade, or the way back. The revision goes on: no flow is taken for one judged now."""
    before = keep(folder, ifindex, stack)
    before.put_in_force(before.desired())
    programs = programs_of(before)
    remember(before)
    told_otherwise(before, version)
    before.records.unlink()
    after = keep(folder, ifindex, stack)
    assert programs_of(after) == programs, "nothing is touched before the new one is ready"
    assert verbs(after.put_in_force(after.desired())) == SWAPPED
    assert programs.isdisjoint(programs_of(after))
    assert len(flows_of(after)) == 1
    assert after.enforcement.revision == 2


BEYOND_US = {
    "flows of another layout": {"flow_version": abi.FLOW_VERSION + 1},
    "a shape from before flows had a version": {"flow_version": 0},
}


@pytest.mark.parametrize("shape", BEYOND_US.values(), ids=list(BEYOND_US))
def test_flows_of_another_layout_are_begun_anew_and_nothing_passes_by_them(
    folder: Path, ifindex: int, stack: ExitStack, shape: dict[str, int]
) -> None:
    before = keep(folder, ifindex, stack)
    before.put_in_force(before.desired())
    programs = programs_of(before)
    remember(before)
    told_otherwise(before, abi.ABI_VERSION + 1, **shape)
    after = keep(folder, ifindex, stack)
    assert programs_of(after) == programs
    assert verbs(after.put_in_force(after.desired())) == SWAPPED
    assert programs.isdisjoint(programs_of(after))
    assert flows_of(after) == []


@pytest.mark.parametrize("missing", ["shape", "control", "flows"])
def test_a_load_of_another_version_that_lacks_a_map_is_no_heritage(
    folder: Path, ifindex: int, stack: ExitStack, missing: str
) -> None:
    before = keep(folder, ifindex, stack)
    before.put_in_force(before.desired())
    remember(before)
    told_otherwise(before, abi.ABI_VERSION + 1)
    (pins,) = before.generations.folder.glob(f"{abi.ABI_VERSION + 1}-*")
    (pins / missing).unlink()
    after = keep(folder, ifindex, stack)
    assert verbs(after.put_in_force(after.desired())) == SWAPPED
    assert flows_of(after) == []


def test_two_versions_that_start_at_the_same_policy_do_not_swap_for_ever(
    folder: Path, ifindex: int, stack: ExitStack, older_build: Path
) -> None:
    first = keep(folder, ifindex, stack, older_build)
    first.put_in_force(first.desired())
    first.close()
    second = keep(folder, ifindex, stack)
    second.put_in_force(second.desired())
    assert second.put_in_force(second.desired()) == []
    assert verbs(second.put_in_force(second.desired((WEB_RULE, RENAMED)))) == ["commit"]


def test_a_shape_of_before_flows_had_a_version_is_no_heritage(
    folder: Path, ifindex: int, stack: ExitStack
) -> None:
    before = keep(folder, ifindex, stack)
    before.put_in_force(before.desired())
    remember(before)
    told_otherwise(before, abi.ABI_VERSION - 1)
    (pins,) = before.generations.folder.glob(f"{abi.ABI_VERSION - 1}-*")
    (pins / "shape").unlink()
    at = structs.SHAPE.offsets()["flow_version"][0]
    with closing(Map.create(MapInfo("shape", MapType.ARRAY, 4, at, 1))) as shorter:
        shorter.pin(pins / "shape")
    after = keep(folder, ifindex, stack)
    assert verbs(after.put_in_force(after.desired())) == SWAPPED
    assert flows_of(after) == []
