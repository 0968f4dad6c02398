# SPDX-License-Identifier: Apache-2.0
"""What must be true around the one store of a commit; in tests/kernel/agent, agents die there."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from krait.agent.committing import Committing
from krait.agent.desired import Desired
from krait.agent.ledger import Ledger
from krait.agent.state import read_records, record
from krait.agent.steps import Commit
from krait.common.abi import ABI_VERSION
from krait.kernel.generation import Generation
from krait.policy.capacity import SMALLEST
from krait.policy.image import EMPTY, Image
from krait.policy.numbering import Numbers
from krait.policy.pairing import PortList
from tests.unit.agent.ports import FakeTables, Kernel, Refused
from tests.unit.agent.world import DESIRED


@dataclass
class Watched(FakeTables):
    """Keeps what it was told of a slot, and what was written down at each store."""

    records: Path = Path()
    known: list[Image | None] = field(default_factory=list)
    recorded: list[int] = field(default_factory=list)

    def write(
        self, slot: int, image: Image, *, known: Image | None, held: Mapping[PortList, int]
    ) -> None:
        self.known.append(known)
        super().write(slot, image, known=known, held=held)

    def commit(self, slot: int, revision: int) -> None:
        self.recorded.append(read_records(self.records)[0].revision)
        super().commit(slot, revision)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wg0.json"


@pytest.fixture
def tables(path: Path) -> Watched:
    generation = Generation(ABI_VERSION, 1, {}, 0)
    return Watched(Kernel(), generation, SMALLEST, records=path)


@pytest.fixture
def committing(path: Path) -> Iterator[Committing]:
    with closing(Committing(path)) as committing:
        yield committing


def image(principal: int) -> Image:
    return replace(EMPTY, arrays={"principal": bytes([principal])})


def numbered(numbers: Numbers) -> Desired:
    return replace(DESIRED, compiled=replace(DESIRED.compiled, numbers=numbers))


def test_a_commit_is_written_down_before_its_store(tables: Watched, committing: Committing) -> None:
    for _ in range(3):
        committing.commit(tables, Commit(EMPTY, DESIRED), 0)
    assert tables.recorded == [1, 2, 3]


def test_a_slot_is_not_written_while_its_readers_may_be_there(
    tables: Watched, committing: Committing
) -> None:
    tables.kernel.refuses = {"wait"}
    committing.commit(tables, Commit(EMPTY, DESIRED), 0)
    with pytest.raises(Refused):
        committing.commit(tables, Commit(EMPTY, DESIRED), 0)
    assert (len(tables.known), tables.in_force.revision) == (1, 1)


def test_a_slot_whose_writing_was_cut_short_counts_as_unknown(
    tables: Watched, committing: Committing
) -> None:
    for number in (1, 2):
        committing.commit(tables, Commit(image(number), DESIRED), 0)
    tables.kernel.refuses = {"write"}
    with pytest.raises(Refused):
        committing.commit(tables, Commit(image(3), DESIRED), 0)
    tables.kernel.refuses = set()
    committing.commit(tables, Commit(image(3), DESIRED), 0)
    assert tables.known == [None, None, image(1), None]


def test_a_revision_is_above_all_that_were_stored_written_down_or_are_elsewhere(
    path: Path, tables: Watched, committing: Committing
) -> None:
    Ledger(path).enter(record(5, 1000.5, DESIRED, Numbers()), 0)
    committing.take_over(tables)
    committing.commit(tables, Commit(EMPTY, DESIRED), 0)
    assert tables.in_force.revision == 6, "5 was written down, and never stored"
    committing.commit(tables, Commit(EMPTY, DESIRED), 9)
    assert tables.in_force.revision == 10
    committing.commit(tables, Commit(EMPTY, DESIRED), 0)
    assert tables.in_force.revision == 11


def test_what_was_counted_for_others_is_forgotten_and_nothing_else(
    tables: Watched, committing: Committing
) -> None:
    first, second, third = (bytes([number]) * 32 for number in (1, 2, 3))  # public keys
    before = Numbers(rules=("a", "b"), peers=(first, second), shadow_rules=("s", "t"))
    after = Numbers(rules=("a", None, "c"), peers=(third, second), shadow_rules=("s", "u"))
    committing.commit(tables, Commit(EMPTY, numbered(before)), 0)
    tables.forgotten.clear()
    committing.commit(tables, Commit(EMPTY, numbered(after)), 0)
    assert tables.forgotten == {
        "rules": (3,),
        "peers": (1,),
        "budgets": (1,),
        "shadow_rules": (6, 7, 8),  # an outcome each
    }
