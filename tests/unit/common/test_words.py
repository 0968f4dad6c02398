# SPDX-License-Identifier: Apache-2.0
import pytest

from krait.common.words import plural


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 packets"), (1, "1 packet"), (12345, "12,345 packets")]
)
def test_one_is_not_many(count: int, text: str) -> None:
    assert plural(count, "packet") == text


def test_an_irregular_plural_is_given_with_its_noun() -> None:
    assert plural(1, "identity", "identities") == "1 identity"
    assert plural(2, "identity", "identities") == "2 identities"
