# SPDX-License-Identifier: Apache-2.0
"""A folder of pins says which network namespace it is for, also to one that sees the folder too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from krait.kernel import netns
from krait.kernel.claim import claim, is_foreign, owners, release

_ELSEWHERE = """
import sys
from pathlib import Path
from krait.kernel import netns
from krait.kernel.claim import claim, is_foreign
folder = Path(sys.argv[1])
print(netns.cookie(), is_foreign(folder), netns.name(folder))
claim(folder)
"""


@pytest.fixture(autouse=True)
def cookies() -> None:
    if netns.cookie() is None:
        pytest.skip("a kernel without cookies: run Linux 5.14 or newer")


def elsewhere(folder: Path) -> list[str]:
    """Of a new network namespace: cookie, whether the folder is foreign, name; it claims it."""
    command = ["unshare", "--net", sys.executable, "-c", _ELSEWHERE, str(folder)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def test_a_namespace_has_one_cookie_and_no_two_have_the_same(tmp_path: Path) -> None:
    cookies = {netns.cookie(), netns.cookie(), *(int(elsewhere(tmp_path)[0]) for _ in range(3))}
    assert len(cookies) == 4


def test_what_is_claimed_here_is_foreign_elsewhere_until_it_is_released(tmp_path: Path) -> None:
    folder = tmp_path / "wg0"
    assert not is_foreign(folder)
    folder.mkdir()
    assert not is_foreign(folder)
    claim(folder)
    claim(folder)
    assert owners(folder) == {netns.cookie()}
    assert not is_foreign(folder)
    assert elsewhere(folder)[1] == "True"
    release(folder)
    assert owners(folder) == frozenset()
    elsewhere(folder)
    assert is_foreign(folder)
    release(folder)
    release(folder)
    folder.rmdir()


def test_a_name_of_this_namespace_is_none_of_another(tmp_path: Path) -> None:
    (tmp_path / "blue").symlink_to(f"/proc/{os.getpid()}/ns/net")
    assert netns.name(tmp_path) == "blue"
    assert elsewhere(tmp_path)[2:] == []
