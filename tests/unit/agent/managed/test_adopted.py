# SPDX-License-Identifier: Apache-2.0
"""No device changes for a document whose policy an interface made from it would not take."""

from dataclasses import replace

import pytest

from krait.agent.desired import Source
from krait.agent.managed.adopted import Adopted, adopt
from krait.common.errors import UsageError
from krait.policy.device import wanted
from krait.policy.document import load
from tests.unit.agent.managed.machine import DOCUMENT

FOUND = Source(load(DOCUMENT.encode(), "wg0.yaml"), "wg0.yaml", sha256="")
DEVICE = wanted(FOUND.document, "me")
STRANGER = replace(DEVICE, public_key=bytes(32))
"""A device that the policy does not fit."""


def test_a_document_that_fits_is_adopted() -> None:
    assert adopt(FOUND, DEVICE, None) == Adopted(FOUND.document, DEVICE)


@pytest.mark.parametrize("known", [None, Adopted(FOUND.document, DEVICE)], ids=("first", "edit"))
def test_a_device_that_the_policy_does_not_fit_is_refused(known: Adopted | None) -> None:
    with pytest.raises(UsageError, match="no node has this interface's public key"):
        adopt(FOUND, STRANGER, known)


def test_a_device_that_stays_is_not_held_against_the_policy_again() -> None:
    assert adopt(FOUND, STRANGER, Adopted(FOUND.document, STRANGER)).device is STRANGER
