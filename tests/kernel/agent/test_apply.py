# SPDX-License-Identifier: Apache-2.0
"""Enforcement on a real interface (a veth) with real tables: what one agent leaves to the next."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from krait.agent.apply import Enforcement
from krait.agent.desired import Desired, Source, desire
from krait.agent.diff import plan
from krait.agent.reading_back import AGAIN_S
from krait.agent.state import read_records
from krait.common import structs
from krait.common.errors import KraitError
from krait.kernel.datapath import OBJECT
from krait.kernel.filter import InterfaceFilter
from krait.kernel.generation import Count
from krait.kernel.generations import Generations
from krait.policy.numbering import Numbers
from tests.patience import wait_until
from tests.requirements import KINDS
from tests.unit.policy.bench import INTERFACE, document

KIND = KINDS[0]
WEB_RULE = "    - {name: web-db, from: web, to: db, ports: [tcp/80, udp/53, icmp]}\n"
RENAMED = WEB_RULE.replace("web-db", "another")


class Keeper:
    """An agent without a loop: it plans and applies until nothing is left to do."""

    def __init__(self, folder: Path, ifindex: int, object_path: Path = OBJECT) -> None:
        self.generations = Generations(folder / "bpf" / "krait" / "v0", object_path)
        self.hooks = InterfaceFilter(self.generations.folder, KIND)
        self.records = folder / "v0.json"
        self.enforcement = Enforcement(self.generations, self.hooks, self.records)
        self.ifindex: int | None = ifindex
        self.enforcement.start(ifindex)

    def desired(self, *changes: tuple[str, str]) -> Desired:
        source = Source(document(*changes), "test.yaml", str(changes))
        return desire(source, INTERFACE, self.enforcement.numbers)

    def put_in_force(self, wanted: Desired | None) -> list[str]:
        done = []
        while steps := plan(wanted, self.enforcement.observe(self.ifindex, fresh=False), KIND):
            for step in steps:
                self.enforcement.apply(step, self.ifindex)
                done.append(str(step))
        return done

    def close(self) -> None:
        self.enforcement.close()
        self.generations.close()


@pytest.fixture
def ifindex(netns: None) -> int:  # noqa: ARG001 - its effect is the namespace
    subprocess.run(["ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1"], check=True)
    return socket.if_nametoindex("v0")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "bpf").mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", tmp_path / "bpf"], check=True)
    yield tmp_path
    subprocess.run(["umount", tmp_path / "bpf"], check=True)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


@pytest.fixture
def keeper(folder: Path, ifindex: int, stack: ExitStack) -> Keeper:
    return keep(folder, ifindex, stack)


def keep(folder: Path, ifindex: int, stack: ExitStack, object_path: Path = OBJECT) -> Keeper:
    found = Keeper(folder, ifindex, object_path)
    stack.callback(found.close)
    return found


def count(keeper: Keeper, rule: int) -> None:
    (generation,) = keeper.generations.found()
    rules = keeper.generations.open(generation).maps["rules"]
    packed = structs.COUNT.codec.pack(5, 500, 7)
    rules.update(rule.to_bytes(4, "little"), packed.ljust(rules.value_bytes, b"\0"))


def counted(keeper: Keeper, rule: int) -> Count:
    (generation,) = keeper.generations.found()
    return keeper.generations.open(generation).counts("rules")[rule]


def test_the_next_agent_goes_on_with_numbers_and_revisions(
    keeper: Keeper, folder: Path, ifindex: int, stack: ExitStack
) -> None:
    keeper.put_in_force(keeper.desired())
    keeper.put_in_force(keeper.desired((WEB_RULE, RENAMED)))
    assert keeper.enforcement.revision == 2
    following = keep(folder, ifindex, stack)
    assert following.enforcement.numbers == keeper.enforcement.numbers != Numbers()
    assert following.enforcement.is_enforcing(ifindex)
    done = following.put_in_force(following.desired((WEB_RULE, RENAMED)))
    assert [each.split()[0] for each in done] == ["commit"]
    assert following.enforcement.revision == 3
    assert [each.revision for each in read_records(following.records)] == [3, 2]


def test_a_damaged_record_costs_names_and_is_told_but_not_the_start(
    keeper: Keeper, folder: Path, ifindex: int, stack: ExitStack
) -> None:
    keeper.put_in_force(keeper.desired())
    keeper.records.write_text("[" * 100_000)
    with capture_logs() as log:
        following = keep(folder, ifindex, stack)
    assert [each["log_level"] for each in log] == ["warning"]
    assert f"cannot use {keeper.records}" in log[0]["event"]
    assert following.enforcement.numbers == Numbers()
    assert following.enforcement.is_enforcing(ifindex)
    following.put_in_force(following.desired())
    assert following.enforcement.revision == 2


def test_numbers_go_on_though_the_last_record_is_of_a_commit_that_never_was(
    keeper: Keeper, folder: Path, ifindex: int, stack: ExitStack
) -> None:
    keeper.put_in_force(keeper.desired())
    numbers = keeper.enforcement.numbers
    keeper.put_in_force(keeper.desired((WEB_RULE, RENAMED)))
    (generation,) = keeper.generations.found()
    tables = keeper.generations.open(generation)
    tables.commit(tables.in_force.idle, 1)  # as if it had died between the record and the store
    following = keep(folder, ifindex, stack)
    assert following.enforcement.numbers == numbers
    following.put_in_force(following.desired())
    assert following.enforcement.revision == 3


def test_a_number_that_means_another_rule_counts_anew_and_the_others_go_on(keeper: Keeper) -> None:
    keeper.put_in_force(keeper.desired())
    rules = keeper.enforcement.numbers.rules
    mine, other = rules.index("web-db") + 1, rules.index("app-in") + 1
    for number in (mine, other):
        count(keeper, number)
    keeper.put_in_force(keeper.desired((WEB_RULE, RENAMED)))
    assert keeper.enforcement.numbers.rules.index("another") + 1 == mine
    assert counted(keeper, mine) == Count(0, 0)
    assert counted(keeper, other) == Count(5, 500, 7)


def test_an_empty_slot_and_the_policy_after_it_are_written_whole(keeper: Keeper) -> None:
    keeper.put_in_force(keeper.desired())
    ifindex, keeper.ifindex = keeper.ifindex, None
    keeper.put_in_force(keeper.desired())
    (generation,) = keeper.generations.found()
    tables = keeper.generations.open(generation)
    assert not tables.is_armed()
    keeper.ifindex = ifindex
    wanted = keeper.desired()
    keeper.put_in_force(wanted)
    assert tables.is_armed()
    slot, size = tables.in_force.slot, tables.capacity.principal
    packed = b"".join(values for _, values in tables.maps["principal"].items())
    mine = packed[slot * size * 16 :][: 16 * (len(wanted.compiled.principals) + 1)]
    assert [entry[0] for entry in structs.PRINCIPAL.codec.iter_unpack(mine)] == [
        0,
        *(owner.identity for owner in wanted.compiled.principals),
    ]


def test_a_disk_that_is_full_does_not_hold_up_a_commit(keeper: Keeper) -> None:
    keeper.put_in_force(keeper.desired())
    keeper.records.unlink()
    keeper.records.mkdir()  # the rename onto it fails, as a write to a full disk does
    keeper.put_in_force(keeper.desired((WEB_RULE, RENAMED)))
    assert keeper.enforcement.revision == 2


@pytest.mark.parametrize("table", ["ports", "pair", "addr4"])
def test_what_somebody_else_wrote_into_a_table_is_found_and_written_over(
    keeper: Keeper, table: str
) -> None:
    keeper.put_in_force(keeper.desired())
    assert read_back(keeper) is None
    spoil(keeper, table)
    assert f": {table} differ" in str(read_back(keeper, after_s=AGAIN_S))
    keeper.put_in_force(keeper.desired())
    assert keeper.enforcement.revision == 2
    assert read_back(keeper) is None


def spoil(keeper: Keeper, table: str) -> None:
    """Write over all that one of the tables in force has, in both slots."""
    (generation,) = keeper.generations.found()
    altered = keeper.generations.open(generation).maps[table]
    for number in range(altered.info.max_entries):
        altered.update(number.to_bytes(4, "little"), b"\xff" * altered.value_bytes)


def read_back(keeper: Keeper, after_s: float = 0.0) -> KraitError | None:
    """What is wrong by the reading back of the last commit, or of one so much later."""
    answers: list[KraitError | None] = []

    def is_told() -> bool:
        is_news, error = keeper.enforcement.read_back(time.monotonic() + after_s)
        answers.extend([error] if is_news else [])
        return is_news

    wait_until(is_told)
    return answers[-1]
