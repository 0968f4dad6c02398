# SPDX-License-Identifier: Apache-2.0
"""Whatever a document says is held against what it said before, here or pair by pair."""

from dataclasses import fields, replace
from typing import Any

import pytest

from krait.policy.compare import compare
from krait.policy.model import Action, Document, Limits, Policy
from krait.policy.settings import settings
from tests.unit.policy.bench import document

BY_PAIRS = {"rules"}
OF_NO_PACKET = {"tests", "groups", "default_mark"}  # a group is its ports, where a rule names it
OF_ONE_NODE = {"source", "interface", "node"}  # which file this is, and for whom it is read

OTHERS: dict[str, dict[str, Any]] = {
    "strict": {"strict": True},
    "limits": {"limits": Limits(opens_per_s=1, burst=1)},
    "guard": {"guard": True},
    "reject_ingress": {"reject_ingress": True},
    "default": {"default": Action.REJECT},
}


@pytest.mark.parametrize("key", OTHERS)
def test_each_switch_of_a_policy_is_told_by_its_key(key: str) -> None:
    before = document()
    now = replace(before, policy=replace(before.policy, **OTHERS[key]))
    assert settings(before, now).other == (key,)
    assert not compare(before, now).is_empty
    assert settings(now, now).other == ()


def test_nothing_that_a_document_says_is_left_out() -> None:
    of_policy = {each.name for each in fields(Policy)}
    assert of_policy == OTHERS.keys() | BY_PAIRS | OF_NO_PACKET
    of_document = {each.name for each in fields(Document)}
    assert of_document == OF_ONE_NODE | {"mesh", "nodes", "multicast", "policy"}
