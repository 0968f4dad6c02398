# SPDX-License-Identifier: Apache-2.0
"""The document on disk. The tests of `changes` wait for what must come, or for a look that passes
without it: looks are short here, and no test depends on how fast the machine is.
"""

import asyncio
import tracemalloc
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from hashlib import sha256
from pathlib import Path

import pytest

from krait.agent.source import changes, find, read
from krait.common.errors import UsageError
from krait.policy.problems import DocumentError
from krait.policy.yaml_source import MAX_BYTES
from tests.patience import PATIENCE_S
from tests.unit.policy.bench import DOCUMENT

LOOK_S = 0.02
QUIET_LOOKS = 10
NEVER_S = 4 * PATIENCE_S
"""Until a look that no test waits for: what is told then was heard of."""

Step = Callable[[], Awaitable[None]]


def test_the_first_place_that_has_a_document_wins(tmp_path: Path) -> None:
    own, common = tmp_path / "wg0.yaml", tmp_path / "krait.yaml"
    common.write_text(DOCUMENT)
    assert find("wg0", (own, common)) == common
    own.write_text(DOCUMENT)
    assert find("wg0", (own, common)) == own


def test_without_a_document_the_error_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no document for wg0") as told:
        find("wg0", (tmp_path / "wg0.yaml",))
    install = f"krait init wg0 >FILE && install -D -m 600 FILE {tmp_path / 'wg0.yaml'}"
    assert install in told.value.hint
    with pytest.raises(UsageError) as told:
        find("wg0", (tmp_path / "wg0.yaml",), if_missing="make one")
    assert told.value.hint == "make one"


def test_where_one_was_in_force_before_its_place_is_looked_at_though_it_is_gone(
    tmp_path: Path,
) -> None:
    own, kept = tmp_path / "wg0.yaml", tmp_path / "kept.yaml"
    with pytest.raises(UsageError):
        find("wg0", (own,), kept)
    kept.write_text(DOCUMENT)
    assert find("wg0", (own,), kept) == own


def test_a_document_is_known_by_the_hash_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "wg0.yaml"
    path.write_text(DOCUMENT)
    found = read(path, "wg0")
    assert (found.path, found.sha256) == (str(path), sha256(DOCUMENT.encode()).hexdigest())
    assert found.document.nodes[0].name == "db1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"interface: wg1\n{DOCUMENT}", "`interface: wg1`, but this agent keeps wg0"),
        (
            f"{DOCUMENT}  tests:\n    - {{from: web, to: db, port: tcp/81, expect: allow}}\n",
            "expected allowed",
        ),
    ],
)
def test_a_document_of_another_interface_or_whose_tests_fail_is_refused(
    tmp_path: Path, text: str, expected: str
) -> None:
    path = tmp_path / "wg0.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=expected):
        read(path, "wg0")


def test_a_document_that_names_this_interface_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "wg0.yaml"
    path.write_text(f"interface: wg0\n{DOCUMENT}")
    assert read(path, "wg0").document.interface == "wg0"


def test_a_broken_or_missing_document_is_told_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "wg0.yaml"
    with pytest.raises(UsageError, match=f"cannot read {path}"):
        read(path, "wg0")
    path.write_text("nodes: [\n")
    with pytest.raises(DocumentError, match=f"{path}:2:1: not valid YAML"):
        read(path, "wg0")


class Watching:
    """Awaits what `changes` yields."""

    def __init__(self, generator: AsyncGenerator[None, None]) -> None:
        self._generator = generator
        self._next: asyncio.Task[None] | None = None

    async def told(self, within_s: float = PATIENCE_S) -> bool:
        if self._next is None:
            self._next = asyncio.ensure_future(anext(self._generator))
        done, _ = await asyncio.wait({self._next}, timeout=within_s)
        if not done:
            return False
        self._next = None
        return True

    async def quiet(self) -> bool:
        """Whether some looks tell nothing: however long this process is kept from running, each
        wait lets `changes` look once more.
        """
        return not any([await self.told(LOOK_S) for _ in range(QUIET_LOOKS)])

    async def settle(self) -> None:
        """Past what is told at the beginning, or of a file that kept still in a new folder."""
        assert await self.told()
        assert await self.quiet()

    async def close(self) -> None:
        if self._next is not None:
            self._next.cancel()
            await asyncio.wait({self._next})


def watch(
    path: Path, scenario: Callable[[Watching], Awaitable[None]], look_s: float = LOOK_S
) -> None:
    async def main() -> None:
        async with aclosing(changes(path, look_s)) as generator:
            watching = Watching(generator)
            try:
                await scenario(watching)
            finally:
                await watching.close()

    asyncio.run(main())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir()
    found = folder / "wg0.yaml"
    found.write_text("one")
    return found


async def write_in_two(watching: Watching, file_path: Path) -> None:
    """Told when the writer closed it, and not before."""
    with file_path.open("w") as file:
        file.write("half")
        file.flush()
        assert await watching.quiet()
        file.write(" and half")
    assert await watching.told()


def test_a_written_file_is_told_when_it_is_closed_and_not_before(path: Path) -> None:
    async def scenario(watching: Watching) -> None:
        await watching.settle()
        await write_in_two(watching, path)

    watch(path, scenario)


def test_a_writer_who_began_before_the_watching_is_waited_for(path: Path) -> None:
    async def scenario(watching: Watching) -> None:
        with path.open("w") as file:
            file.write("half")
            file.flush()
            await watching.settle()
            file.write(" and half")
        assert await watching.told()

    watch(path, scenario)


def test_a_folder_that_is_not_there_is_waited_for(path: Path) -> None:
    later = path.parent / "later" / "wg0.yaml"

    async def scenario(watching: Watching) -> None:
        await watching.settle()
        later.parent.mkdir()
        later.write_text("one")
        assert await watching.told()

    watch(later, scenario)


def test_a_file_renamed_onto_it_is_told_and_its_neighbours_are_not(path: Path) -> None:
    async def scenario(watching: Watching) -> None:
        await watching.settle()
        new = path.with_name("new")
        new.write_text("two")
        assert await watching.quiet()
        new.rename(path)
        assert await watching.told()

    watch(path, scenario)


def test_a_folder_that_is_replaced_is_followed(path: Path) -> None:
    async def scenario(watching: Watching) -> None:
        await watching.settle()
        path.parent.rename(path.parent.with_name("old"))
        path.parent.mkdir()
        path.write_text("two")
        await watching.settle()
        path.write_text("three")
        assert await watching.told()

    watch(path, scenario)


def test_a_folder_that_goes_and_comes_back_is_followed(path: Path) -> None:
    async def scenario(watching: Watching) -> None:
        await watching.settle()
        path.unlink()
        path.parent.rmdir()
        assert await watching.quiet()
        path.parent.mkdir()
        path.write_text("two")
        assert await watching.told()

    watch(path, scenario)


def test_a_link_in_the_folder_that_is_switched_is_followed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "wg0.yaml").write_text(name)
    data, path = tmp_path / "data", tmp_path / "wg0.yaml"
    data.symlink_to("one")
    path.symlink_to("data/wg0.yaml")

    async def scenario(watching: Watching) -> None:
        await watching.settle()
        (tmp_path / "new").symlink_to("two")
        (tmp_path / "new").rename(data)
        assert await watching.told()

    watch(path, scenario)


@pytest.fixture(params=["one link", "a chain of links", "another name of the file"])
def elsewhere(request: pytest.FixtureRequest, path: Path) -> Path:
    """The same document in a folder that is not the one of `path`."""
    checkout = path.parent.parent / "checkout"
    checkout.mkdir()
    found = checkout / "mesh.yaml"
    path.rename(found)
    if request.param == "another name of the file":
        path.hardlink_to(found)
    elif request.param == "one link":
        path.symlink_to(found)
    else:
        between = path.parent.parent / "between"
        between.mkdir()
        (between / "wg0").symlink_to("../checkout/mesh.yaml")
        path.symlink_to("../between/wg0")
    return found


def test_what_it_links_to_is_told_as_it_is_saved_wherever_that_lies(
    path: Path, elsewhere: Path
) -> None:
    async def scenario(watching: Watching) -> None:
        await watching.settle()
        await write_in_two(watching, elsewhere)

    watch(path, scenario, NEVER_S)


def test_after_a_link_is_switched_what_it_links_to_now_is_told_and_no_other(path: Path) -> None:
    old, new = (path.with_name(name) / "mesh.yaml" for name in ("old", "new"))
    for each in (old, new):
        each.parent.mkdir()
        each.write_text(each.parent.name)
    path.unlink()
    path.symlink_to(old)

    async def scenario(watching: Watching) -> None:
        await watching.settle()
        with new.open("a") as file:
            path.with_name("link").symlink_to(new)
            path.with_name("link").rename(path)
            await watching.settle()
            old.write_text("older")
            assert await watching.quiet()
            file.write("er")
        assert await watching.told()

    watch(path, scenario, NEVER_S)


def test_after_a_link_above_is_switched_its_file_is_told_once_it_kept_still_and_as_it_is_saved(
    path: Path,
) -> None:
    """In a folder that nobody watches, as where a release is made current."""
    releases = path.parent.parent / "releases"
    for name in ("one", "two"):
        (releases / name).mkdir(parents=True)
        (releases / name / "mesh.yaml").write_text(name)
    (releases / "current").symlink_to("one")
    path.unlink()
    path.symlink_to(releases / "current" / "mesh.yaml")

    async def scenario(watching: Watching) -> None:
        await watching.settle()
        (releases / "next").symlink_to("two")
        (releases / "next").rename(releases / "current")
        await watching.settle()
        (releases / "two" / "mesh.yaml").write_text("three")
        assert await watching.told()

    watch(path, scenario)


def test_a_target_that_is_put_there_anew_is_told_and_then_heard_of(path: Path) -> None:
    """As git does; the new file may have the number of the old one."""
    target = path.parent.parent / "mesh.yaml"
    path.rename(target)
    path.symlink_to(target)

    async def scenario(watching: Watching) -> None:
        await watching.settle()
        target.unlink()
        target.write_text("two")
        await watching.settle()
        target.write_text("three")
        assert await watching.told()

    watch(path, scenario)


@pytest.mark.parametrize("to", ["wg0.yaml", ".", "nowhere/wg0.yaml"])
def test_a_link_to_nothing_that_could_be_one_does_no_harm(path: Path, to: str) -> None:
    path.unlink()
    path.symlink_to(to)

    async def scenario(watching: Watching) -> None:
        await watching.settle()
        new = path.parent.parent / "new"
        new.write_text("two")
        new.rename(path)
        assert await watching.told()

    watch(path, scenario, NEVER_S)


def test_a_document_without_end_is_read_as_far_as_one_may_be_long(tmp_path: Path) -> None:
    path = tmp_path / "wg0.yaml"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES * 64)
    tracemalloc.start()
    try:
        with pytest.raises(DocumentError, match="larger than 16 MiB"):
            read(path, "wg0")
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_BYTES
    finally:
        tracemalloc.stop()


def test_the_same_bytes_are_not_worked_through_again(tmp_path: Path) -> None:
    path = tmp_path / "wg0.yaml"
    path.write_text(DOCUMENT)
    known = read(path, "wg0")
    assert read(path, "wg0", known) is known
    path.write_text(f"{DOCUMENT}\n")
    assert read(path, "wg0", known) is not known
