# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from krait.agent.acl import Writers, parse, writers
from tests.unit.agent.acls import GROUP, MASK, NOBODY, OWN_GROUP, OWNER, USER, Entry, put, value

ALL: Entry = (MASK, 7, NOBODY)
HERS: tuple[Entry, ...] = ((USER, 6, 1001), (GROUP, 2, 50), (OWN_GROUP, 6, NOBODY))

ACLS: dict[str, tuple[tuple[Entry, ...], set[int], set[int]]] = {
    "users and groups": ((*HERS, ALL), {1001}, {50, 77}),
    "all that a mask keeps from writing": ((*HERS, (MASK, 5, NOBODY)), set(), set()),
    "one who may read, and one who may not": (
        ((USER, 5, 1001), (USER, 7, 1002), (GROUP, 4, 50), ALL),
        {1002},
        set(),
    ),
    "nobody by name, and no mask": (((OWN_GROUP, 6, NOBODY),), set(), {77}),
    "the owner alone": (((OWNER, 7, NOBODY), ALL), set(), set()),
}


@pytest.mark.parametrize(("entries", "users", "groups"), ACLS.values(), ids=ACLS)
def test_whom_an_acl_lets_write_is_known(
    entries: tuple[Entry, ...], users: set[int], groups: set[int]
) -> None:
    assert parse(value(*entries), 77) == Writers(frozenset(users), frozenset(groups))


@pytest.mark.parametrize(
    "damaged", [b"", b"\1\0\0\0", value(*HERS)[:-1], b"\3" + value(*HERS)[1:]], ids=repr
)
def test_what_linux_does_not_give_is_no_acl(damaged: bytes) -> None:
    assert parse(damaged, 77) is None


def test_a_file_of_no_acl_has_none_and_one_that_is_gone_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "wg0.yaml"
    with pytest.raises(FileNotFoundError):
        writers(path, 77)
    path.touch()
    assert writers(path, 77) is None
    put(path, (USER, 6, 12345), ALL)
    assert writers(path, 77) == Writers(frozenset({12345}), frozenset())


def test_where_there_are_no_acls_at_all_nobody_is_named() -> None:
    assert writers("/proc/self/status", 77) is None
