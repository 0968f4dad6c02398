# SPDX-License-Identifier: Apache-2.0
from krait.common.guard import MEANINGS, GuardReason


def test_every_reason_to_drop_has_a_meaning() -> None:
    assert set(MEANINGS) == set(GuardReason) - {GuardReason.PASS}
