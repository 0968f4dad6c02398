# SPDX-License-Identifier: Apache-2.0
"""Which document counts, of those that can be read, taken, or neither."""

from pathlib import Path

import pytest

from krait.agent.backoff import FIRST_S
from krait.agent.desired import Source
from krait.agent.reading import Reading
from krait.common.errors import KraitError, UsageError
from tests.unit.policy.bench import DOCUMENT


class Taker:
    """Takes documents, unless it lacks something."""

    def __init__(self) -> None:
        self.taken: list[Source] = []
        self.asked = 0
        self.lacks = ""

    def take(self, found: Source) -> None:
        self.asked += 1
        if self.lacks:
            raise KraitError(self.lacks)
        self.taken.append(found)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "wg0.yaml"
    path.write_text(DOCUMENT)
    return path


@pytest.fixture
def taker() -> Taker:
    return Taker()


@pytest.fixture
def reading(path: Path, taker: Taker) -> Reading:
    return Reading(path, path.with_name("kept.yaml"), "wg0", taker.take)


def test_it_is_read_when_somebody_asks(reading: Reading, taker: Taker) -> None:
    reading.read(0.0, is_enforcing=False)
    assert not reading.is_due(0.0)
    reading.ask()
    assert reading.is_due(0.0)
    reading.read(0.0, is_enforcing=False)
    assert (len(taker.taken), reading.attempts) == (1, 2)  # it is what was taken already


def test_what_was_read_and_not_taken_is_tried_again_though_nobody_touches_it(
    reading: Reading, taker: Taker, path: Path
) -> None:
    taker.lacks = "a key"
    with pytest.raises(KraitError, match="a key"):
        reading.read(0.0, is_enforcing=False)
    assert not reading.is_due(0.0)
    assert reading.next_s(0.0) == FIRST_S
    path.write_text("half of ano")  # its writer has not closed it
    taker.lacks = ""
    assert reading.is_due(FIRST_S)
    reading.read(FIRST_S, is_enforcing=False)
    assert [each.data.decode() for each in taker.taken] == [DOCUMENT]
    assert reading.next_s(FIRST_S) is None


def test_what_cannot_be_taken_is_tried_ever_more_seldom(reading: Reading, taker: Taker) -> None:
    taker.lacks = "a key"
    pauses, now_s = [], 0.0
    for _ in range(4):
        with pytest.raises(KraitError):
            reading.read(now_s, is_enforcing=False)
        pause_s = reading.next_s(now_s)
        assert pause_s is not None
        pauses.append(pause_s)
        now_s += pause_s
    assert pauses == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S, 8 * FIRST_S]


def test_a_bad_document_leaves_the_one_before_it(
    reading: Reading, taker: Taker, path: Path
) -> None:
    reading.read(0.0, is_enforcing=False)
    path.write_text("nonsense: true\n")
    reading.ask()
    with pytest.raises(UsageError):
        reading.read(1.0, is_enforcing=False)
    assert reading.taken == taker.taken[0]
    assert not reading.is_due(1.0)


def test_it_goes_back_to_what_was_kept_and_forth_again(reading: Reading, path: Path) -> None:
    path.rename(path.with_name("kept.yaml"))
    error = reading.read_or_go_back(0.0, is_enforcing=False)
    assert isinstance(error, UsageError)
    assert "cannot read" in error.message
    assert reading.taken is not None
    assert reading.taken.path.endswith("kept.yaml")
    path.write_text(DOCUMENT)
    reading.ask()
    reading.read(0.0, is_enforcing=False)
    assert reading.taken.path == str(path)


def test_there_may_be_nothing_to_go_back_to(reading: Reading, taker: Taker, path: Path) -> None:
    path.unlink()
    assert reading.read_or_go_back(0.0, is_enforcing=False) is not None
    assert reading.taken is None
    assert taker.asked == 0


def test_how_to_mend_it_depends_on_what_is_left_of_it(reading: Reading, path: Path) -> None:
    path.unlink()

    def hint(*, is_enforcing: bool) -> str:
        with pytest.raises(UsageError) as caught:
            reading.read(0.0, is_enforcing=is_enforcing)
        return caught.value.hint

    stays = "restore it; until then the policy in force stays"
    assert stays not in hint(is_enforcing=False)
    assert hint(is_enforcing=True) == stays
    path.with_name("kept.yaml").write_text(DOCUMENT)
    assert hint(is_enforcing=False) == f"{stays} (a copy of it: {path.with_name('kept.yaml')})"
