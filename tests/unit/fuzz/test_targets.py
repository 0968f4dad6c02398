# SPDX-License-Identifier: Apache-2.0
"""What reads bytes of others takes them or refuses them, in the words that it declares."""

from itertools import islice
from random import Random

import pytest

from tests.fuzz.inputs import inputs, is_taken
from tests.fuzz.targets import TARGETS

INPUTS = {"document": 5_000}
"""A document takes milliseconds, all else microseconds."""


@pytest.mark.parametrize("name", TARGETS)
def test_nearly_valid_bytes_are_taken_or_refused_as_declared(name: str) -> None:
    target = TARGETS[name]
    assert all(is_taken(target, data) for data in target.seeds)
    for data in islice(inputs(target, Random(1)), INPUTS.get(name, 20_000)):  # noqa: S311
        is_taken(target, data)
