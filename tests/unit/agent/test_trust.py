# SPDX-License-Identifier: Apache-2.0
import os
import stat
from collections.abc import Set
from pathlib import Path

import pytest

from krait.agent import trust
from krait.agent.acl import Writers
from krait.agent.source import read
from krait.agent.trust import Step
from krait.common.errors import UsageError
from tests.unit.agent.acls import MASK, NOBODY, USER, put
from tests.unit.policy.bench import DOCUMENT

FILE = Path("/etc/krait/wg0.yaml")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "site" / "wg0.yaml"
    path.parent.mkdir(mode=0o755)
    path.write_text(DOCUMENT)
    path.chmod(0o644)
    return path


def test_a_document_that_anybody_may_write_is_refused_with_the_mend(path: Path) -> None:
    read(path, "wg0")
    path.chmod(0o646)
    with pytest.raises(UsageError, match=f"anybody may write to {path}$") as told:
        read(path, "wg0")
    assert f"chmod o-w {path}" in told.value.hint


def test_it_is_refused_though_its_bytes_are_known(path: Path) -> None:
    known = read(path, "wg0")
    path.chmod(0o666)
    with pytest.raises(UsageError, match="anybody may write"):
        read(path, "wg0", known)


@pytest.mark.parametrize("of", ["the file", "its folder"])
def test_a_user_whom_an_acl_lets_write_is_told_of(path: Path, of: str) -> None:
    """The mode says no more than that somebody of the group may, which is root's."""
    put(path if of == "the file" else path.parent, (USER, 6, 12345), (MASK, 6, NOBODY))
    (warning,) = read(path, "wg0").warnings
    assert "user 12345" in warning


@pytest.mark.parametrize("depth", [1, 2])
def test_so_is_one_in_a_folder_where_anybody_may_put_another(path: Path, depth: int) -> None:
    folder = path.parents[depth - 1]
    folder.chmod(0o777)
    with pytest.raises(UsageError, match=f"anybody may write to {folder}, and so put anything at"):
        read(path, "wg0")
    folder.chmod(0o1777)  # as /tmp is: what is in there is its owner's
    read(path, "wg0")


def test_links_are_followed_to_folders_that_anybody_may_write_to(path: Path) -> None:
    """The first link is fine, and so is the file: it is the second link that anybody may turn."""
    top = path.parents[1]
    middle = top / "open"
    middle.mkdir()
    (middle / "current").symlink_to(Path("..") / path.parent.name)
    (top / "link").symlink_to(middle / "current")
    read(top / "link" / path.name, "wg0")
    middle.chmod(0o777)
    with pytest.raises(UsageError, match=f"anybody may write to {middle}"):
        read(top / "link" / path.name, "wg0")
    read(path, "wg0")


def test_a_folder_or_a_pipe_is_no_document_and_is_not_waited_for(path: Path) -> None:
    with pytest.raises(UsageError, match="Is a directory"):
        read(path.parent, "wg0")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UsageError, match="no regular file"):
        read(path, "wg0")


def step(
    mode: int, user: int = 0, group: int = 0, path: Path = FILE, by_acl: Writers | None = None
) -> Step:
    return Step(path, mode, user, group, by_acl)


def named(users: Set[int], groups: Set[int] = frozenset()) -> Writers:
    return Writers(frozenset(users), frozenset(groups))


FOLDER, PLAIN, LINK = stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK

SAID = {
    "root's": ((step(PLAIN | 0o644),), ""),
    "this user's": ((step(PLAIN | 0o644, user=7),), ""),
    "this user's, whose group may write": ((step(PLAIN | 0o664, user=7, group=8),), ""),
    "a user's": ((step(PLAIN | 0o644, user=1000, group=1000),), "user 1000"),
    "a user's, whose group may write": (
        (step(PLAIN | 0o664, user=1000, group=1001),),
        "user 1000 and group 1001",
    ),
    "root's group may write": ((step(PLAIN | 0o664),), ""),
    "in a user's home": ((step(FOLDER | 0o755, user=1000), step(PLAIN | 0o600)), "user 1000"),
    "behind a user's link": ((step(LINK | 0o777, user=1000), step(PLAIN | 0o600)), "user 1000"),
    "behind root's link": ((step(LINK | 0o777), step(PLAIN | 0o600)), ""),
    "in a folder of a group": ((step(FOLDER | 0o2775, group=50), step(PLAIN | 0o600)), "group 50"),
    "a user is named in its ACL": (
        (step(PLAIN | 0o660, by_acl=named({1001, 0, 7}, {50, 0, 8})),),
        "user 1001 and group 50",
    ),
    "its group may write by the ACL's mask alone": (
        (step(PLAIN | 0o664, group=1000, by_acl=named({1001})),),
        "user 1001",
    ),
    "in a folder with an ACL": (
        (step(FOLDER | 0o775, by_acl=named({1001})), step(PLAIN | 0o600)),
        "user 1001",
    ),
    "in a sticky folder with an ACL": (
        (step(FOLDER | 0o1775, by_acl=named({1001}, {50})), step(PLAIN | 0o600)),
        "",
    ),
    "in /tmp": ((step(FOLDER | 0o1777), step(PLAIN | 0o644)), ""),
}


@pytest.mark.parametrize(("way", "others"), SAID.values(), ids=SAID.keys())
def test_who_else_may_change_it_is_said(way: tuple[Step, ...], others: str) -> None:
    trust.require(FILE, way)
    said = trust.warnings(FILE, way, own=(7, 8))
    if others:
        assert said == (f"{FILE} may be changed by {others}, and with it what is allowed here",)
    else:
        assert said == ()


def test_links_that_were_made_a_loop_after_the_file_was_opened_do_not_hold_the_agent_up(
    path: Path,
) -> None:
    first, second = path.with_name("first"), path.with_name("second")
    first.symlink_to(second)
    second.symlink_to(first)
    with (
        path.open() as file,
        pytest.raises(OSError, match="Too many levels of symbolic links"),
    ):
        trust.steps(first, file.fileno())
