# SPDX-License-Identifier: Apache-2.0
import pytest

from krait.common.words import changes, plural, printable


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 packets"), (1, "1 packet"), (12345, "12,345 packets")]
)
def test_one_is_not_many(count: int, text: str) -> None:
    assert plural(count, "packet") == text


def test_an_irregular_plural_is_given_with_its_noun() -> None:
    assert plural(1, "identity", "identities") == "1 identity"
    assert plural(2, "identity", "identities") == "2 identities"


def test_what_a_terminal_would_obey_is_written_out() -> None:
    assert printable("zü\x1b[m\n\x9b\u2028\u202e\udcff") == r"zü\x1b[m\n\x9b\u2028\u202e\udcff"


def test_a_change_names_one_and_counts_several() -> None:
    assert changes("route", ["10.8.0.0/24"], []) == "remove route 10.8.0.0/24"
    assert changes("address", [1, 2], [3]) == "remove 2 addresses, add address 3"
    assert changes("rule", [], range(1200)) == "add 1,200 rules"
