# SPDX-License-Identifier: Apache-2.0
"""What reads bytes of others takes them or refuses them, in the words that it declares."""

from itertools import islice
from random import Random

import pytest

from tests.fuzz.inputs import inputs, is_taken
from tests.fuzz.targets import TARGETS

INPUTS = {
    "document": 5_000,
    "edit": 300,
    "records": 5_000,
    "live": 5_000,
    "orders": 5_000,
    "trial": 5_000,
    "lock": 2_000,
    "userspace": 1_000,
}
"""A document takes milliseconds, and so does a private key; a file tenths of one, all else less."""


@pytest.mark.parametrize("name", TARGETS)
def test_nearly_valid_bytes_are_taken_or_refused_as_declared(name: str) -> None:
    target = TARGETS[name]
    assert all(is_taken(target, data) for data in target.seeds)
    for data in islice(inputs(target, Random(1)), INPUTS.get(name, 20_000)):  # noqa: S311
        is_taken(target, data)
