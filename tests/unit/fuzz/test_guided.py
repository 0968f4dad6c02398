# SPDX-License-Identifier: Apache-2.0
"""The fuzzer finds what nobody would by chance, and says so."""

import re
from pathlib import Path

from tests.unit.fuzz.fuzzer import fuzzer

PLANTED = "--targets", "tests.unit.fuzz.planted"


def test_a_fault_behind_a_word_is_found_and_its_input_shows_it_again(tmp_path: Path) -> None:
    found = fuzzer(tmp_path, "all", *PLANTED)
    assert found.returncode == 1, found.stderr
    assert "sound: 100 inputs, 100 of them valid" in found.stdout
    assert "LookupError: found" in found.stdout
    again = re.search(r"^once more: \./just fuzz (word \S+)$", found.stdout, re.MULTILINE)
    assert again
    shown = fuzzer(tmp_path, *again[1].split(), *PLANTED)
    assert shown.returncode == 1
    assert shown.stderr.splitlines()[-2:-1] == ["LookupError: found"]
    assert shown.stderr.splitlines()[-1].startswith("input: 400801")
