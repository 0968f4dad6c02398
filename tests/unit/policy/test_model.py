# SPDX-License-Identifier: Apache-2.0
from krait.policy.model import Action


def test_an_action_allows_or_it_denies_and_a_rejection_tells_of_it() -> None:
    assert [(each, each.allows, each.rejects) for each in Action] == [
        ("allow", True, False),
        ("deny", False, False),
        ("reject", False, True),
    ]
