# SPDX-License-Identifier: Apache-2.0
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from krait.common import abi, structs
from krait.common.abi import ABI_VERSION
from krait.common.errors import SystemRefused
from krait.kernel import netns
from krait.kernel.bpf.bundle import remove_pins
from krait.kernel.bpf.map import Map
from krait.kernel.bpf.mapinfo import MapInfo, MapType
from krait.kernel.bpf.percpu import possible_cpus
from krait.kernel.claim import is_foreign, owners, release
from krait.kernel.datapath import Datapath
from krait.kernel.generation import Count
from krait.kernel.generations import Generations
from krait.kernel.hook import Hook
from krait.policy.capacity import SMALLEST
from krait.policy.image import EMPTY
from tests.kernel.classifier import program_id

LAST = 5 << 32  # of more than the low half


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    mount = tmp_path / "bpf"
    mount.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", mount], check=True)
    yield mount / "krait" / "wg0"
    subprocess.run(["umount", mount], check=True)


@pytest.fixture
def generations(folder: Path) -> Iterator[Generations]:
    found = Generations(folder)
    yield found
    found.close()


@pytest.fixture
def loaded() -> Iterator[Datapath]:
    datapath = Datapath.load(SMALLEST)
    yield datapath
    datapath.close()


def count(table: Map, number: int, packets: int) -> None:
    """So many packets on each CPU, each a tick later than those of the CPU before."""
    cpus = range(possible_cpus())
    value = b"".join(structs.COUNT.codec.pack(packets, 100, LAST + cpu) for cpu in cpus)
    table.update(number.to_bytes(4, "little"), value)


def test_what_is_pinned_is_known_by_the_ids_of_its_programs(
    generations: Generations, folder: Path
) -> None:
    assert generations.found() == ()
    made = generations.load(SMALLEST)
    datapath = generations.open(made)
    datapath.write(1, EMPTY, known=None, held={})
    datapath.commit(1, 7)
    (found,) = Generations(folder).found()
    assert found == replace(made, revision=7)
    assert found.programs == {hook: program_id(datapath.programs[hook].fd) for hook in Hook}
    assert found.readable
    assert generations.is_pinned(found)


def test_another_process_opens_the_same_tables(generations: Generations, folder: Path) -> None:
    made = generations.load(SMALLEST)
    other = Generations(folder)
    other.open(made).commit(0, 5)
    assert generations.open(made).in_force.revision == 5
    other.close()


def test_numbers_go_on_and_removing_one_leaves_the_other(generations: Generations) -> None:
    first, second = generations.load(SMALLEST), generations.load(SMALLEST)
    generations.remove(first)
    assert [each.number for each in generations.found()] == [second.number]
    assert generations.load(SMALLEST).number > second.number > first.number


def test_one_whose_pins_were_removed_is_pinned_again(generations: Generations) -> None:
    made = generations.load(SMALLEST)
    remove_pins(generations.folder / made.name)
    release(generations.folder)
    generations.folder.rmdir()
    assert not generations.is_pinned(made)
    generations.pin(made)
    assert generations.found() == (made,)
    assert not is_foreign(generations.folder)


def test_one_of_another_layout_is_listed_but_not_readable(
    generations: Generations, folder: Path
) -> None:
    made = generations.load(SMALLEST)
    (folder / made.name).rename(folder / f"{abi.ABI_VERSION + 1}-1")
    (found,) = generations.found()
    assert (found.readable, found.revision) == (False, 0)
    assert set(found.programs) == set(Hook)
    assert (folder / found.name).exists()


def test_one_whose_tables_have_other_keys_than_here_has_nothing_to_go_on_with(
    generations: Generations, folder: Path
) -> None:
    made = generations.load(SMALLEST)
    other = folder / f"{abi.ABI_VERSION + 1}-1"
    (folder / made.name).rename(other)
    for name, bytes_ in (("shape", 8), ("control", 8)):
        (other / name).unlink()
        with Map.create(MapInfo(name, MapType.HASH, bytes_, 8, 1)) as strange:
            strange.pin(other / name)
        (found,) = generations.found()
        assert found.revision == 0


def test_what_a_crash_left_half_made_is_swept_away_and_nothing_else(
    generations: Generations, folder: Path
) -> None:
    whole, half, gone = (generations.load(SMALLEST) for _ in range(3))
    (folder / half.name / "krait_ingress").unlink()
    (folder / gone.name).rename(folder / f"{gone.name}+")
    (folder / "stranger+").mkdir()
    generations.sweep()
    left = {each.name for each in folder.iterdir() if not each.name.startswith("netns-")}
    assert left == {whole.name, "stranger+"}
    (folder / "stranger+").rmdir()


def test_one_that_goes_while_it_is_looked_at_is_none(
    generations: Generations, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, stays = generations.load(SMALLEST), generations.load(SMALLEST)

    def look_late(path: Path, name: re.Match[str]) -> bool:
        if path.name == gone.name:
            remove_pins(folder / gone.name)
        return not name[3]

    monkeypatch.setattr("krait.kernel.generations._is_whole", look_late)
    assert generations.found() == (stays,)


def test_clearing_leaves_no_folder(generations: Generations, folder: Path) -> None:
    generations.load(SMALLEST)
    generations.load(SMALLEST)
    (folder / f"{ABI_VERSION}-9+").mkdir()
    assert [each.number for each in generations.found()] == [1, 2]
    assert owners(folder) == {netns.cookie()}
    generations.clear()
    assert not folder.exists()
    generations.clear()


def test_what_is_not_of_our_making_is_stepped_over_and_stays(
    generations: Generations, folder: Path
) -> None:
    made = generations.load(SMALLEST)
    for hook in Hook:
        (folder / f"{ABI_VERSION}-7" / f"krait_{hook.value}").mkdir(parents=True)
    (folder / f"{ABI_VERSION}-8").mkdir()
    with Map.open_pinned(folder / made.name / "control") as table:
        table.pin(folder / f"{ABI_VERSION}-9")
        for hook in Hook:
            table.pin(folder / f"{ABI_VERSION}-8" / f"krait_{hook.value}")
    (folder / f"{ABI_VERSION + 1}-1").symlink_to(folder / f"{ABI_VERSION}-7")
    assert Generations(folder).found() == (made,)
    generations.remove(made)
    generations.clear()
    assert sorted(each.name for each in folder.iterdir()) == [
        f"{ABI_VERSION}-7",
        f"{ABI_VERSION}-9",
        f"{ABI_VERSION + 1}-1",
    ]


def test_the_folder_of_all_interfaces_goes_with_the_last_one_if_it_is_ours(
    generations: Generations, folder: Path
) -> None:
    generations.load(SMALLEST)
    other = folder.with_name("wg1")
    other.mkdir()
    generations.clear()
    assert list(folder.parent.iterdir()) == [other]
    Generations(other).clear()
    assert not folder.parent.exists()
    other.mkdir(parents=True)
    os.chown(other.parent, 65534, 65534)
    Generations(other).clear()
    assert list(other.parent.iterdir()) == []


def test_an_empty_slot_is_not_armed(loaded: Datapath) -> None:
    armed = replace(
        EMPTY, arrays={"self": structs.SELF.codec.pack(*(0,) * 11, abi.SelfFlag.ARMED, 0, 0, 0)}
    )
    assert not loaded.is_armed()
    loaded.write(1, armed, known=None, held={})
    assert not loaded.is_armed()
    loaded.commit(1, 1)
    assert loaded.is_armed()


def test_a_load_after_another_goes_on_with_its_flows_and_counters(loaded: Datapath) -> None:
    count(loaded.maps["rules"], 3, packets=5)
    count(loaded.maps["peers"], 1, packets=6)
    count(loaded.maps["reasons"], 12, packets=7)
    loaded.maps["flows"].update(bytes(structs.FLOW_KEY.size_bytes), bytes(structs.FLOW.size_bytes))
    after = Datapath.load(replace(SMALLEST, rules=128, peers=128), after=loaded)
    try:
        for table in ("rules", "peers"):
            before = loaded.counts(table)
            assert after.counts(table) == before + [Count(0, 0)] * (128 - len(before))
            assert any(each.packets for each in before)
            lasts = {each.last_ticks for each in after.counts(table)}
            assert lasts == {0, LAST + possible_cpus() - 1}
        assert after.drops() == loaded.drops() != {}
        assert after.maps["flows"].lookup(bytes(structs.FLOW_KEY.size_bytes)) is not None
        count(loaded.maps["reasons"], 12, packets=9)
        assert after.drops() == loaded.drops()
    finally:
        after.close()


def test_a_load_after_another_goes_on_with_what_peers_have_left_of_their_budgets(
    generations: Generations,
) -> None:
    before = generations.load(SMALLEST)
    spent = structs.BUDGET.codec.pack(7, 123)
    last = (SMALLEST.peers - 1).to_bytes(4, "little")
    generations.open(before).maps["budgets"].update(last, spent)
    after = generations.load(replace(SMALLEST, peers=4 * SMALLEST.peers), after=before)
    budgets = generations.open(after).maps["budgets"]
    assert budgets.lookup(last) == spent
    alone = generations.open(generations.load(SMALLEST)).maps["budgets"]
    assert alone.lookup(last) == bytes(8)
    generations.open(after).forget("budgets", [SMALLEST.peers - 1])
    assert budgets.lookup(last) == bytes(8)


def test_a_forgotten_number_counts_anew(loaded: Datapath) -> None:
    count(loaded.maps["rules"], 3, packets=5)
    count(loaded.maps["rules"], 4, packets=5)
    loaded.forget("rules", [3])
    counts = loaded.counts("rules")
    assert counts[3] == Count(0, 0) != counts[4]


def test_a_prefix_that_becomes_nobodys_is_written_though_the_slot_is_unknown(
    loaded: Datapath,
) -> None:
    key = (8 + 24).to_bytes(4, "little") + b"\0" + bytes((10, 1, 2, 0))
    owned = replace(EMPTY, prefixes={"prefix4": {key: 5}, "prefix6": {}})
    nobodys = replace(EMPTY, prefixes={"prefix4": {key: 0}, "prefix6": {}})
    loaded.write(0, owned, known=None, held={})
    loaded.write(0, nobodys, known=None, held={})
    assert loaded.maps["prefix4"].lookup(key) == bytes(4)


def test_a_load_that_lacks_a_table_is_none_and_is_swept_away(
    generations: Generations, folder: Path
) -> None:
    made = generations.load(SMALLEST)
    (folder / made.name / "ends").unlink()
    another = Generations(folder)
    assert another.found() == ()
    another.sweep()
    assert not (folder / made.name).exists()


def test_a_load_that_cannot_be_pinned_is_not_kept_open(
    generations: Generations, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise SystemRefused("no room")

    monkeypatch.setattr(Datapath, "pin", refuse)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(2):
        with pytest.raises(SystemRefused, match="no room"):
            generations.load(SMALLEST)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
