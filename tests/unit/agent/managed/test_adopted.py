# SPDX-License-Identifier: Apache-2.0
"""What is worked out from the document before is what is worked out anew."""

from dataclasses import replace

import pytest

from krait.agent.desired import Source, desire
from krait.agent.managed import adopted
from krait.agent.managed.adopted import Adopted, fitted
from krait.common.errors import UsageError
from krait.policy.device import wanted
from krait.policy.document import load
from tests.unit.agent.managed.machine import DOCUMENT, PEER


def read(old: str = "", new: str = "") -> Source:
    text = DOCUMENT.replace(old, new)
    assert not old or text != DOCUMENT
    return Source(load(text.encode(), "wg0.yaml"), "wg0.yaml", sha256=text)


def adopt(found: Source, known: Adopted | None = None) -> Adopted:
    return fitted(found, wanted(found.document, "me"), known)


EDITS = {
    "tags": (f'you: {{public_key: "{PEER}", tags: a', f'you: {{public_key: "{PEER}", tags: b'),
    "an endpoint": ("you: {", 'you: {endpoint: "192.0.2.1:1", '),
    "an address": ("10.8.0.2", "10.8.0.3"),
    "a rule": ("to: a}", "to: a, ports: tcp/80}"),
    "no peer": (next(line for line in DOCUMENT.splitlines(keepends=True) if "you:" in line), ""),
}


@pytest.mark.parametrize("change", EDITS.values(), ids=EDITS)
def test_an_edit_fits_as_if_nothing_had_been_before(change: tuple[str, str]) -> None:
    found = read(*change)
    again, anew = adopt(found, adopt(read())), adopt(found)
    assert again.device == anew.device
    assert again.document == found.document
    assert again.desired.view == anew.desired.view


def test_the_same_device_is_not_looked_through_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = adopt(read())
    given = []

    def noted(*args: object, **others: object) -> object:
        given.append(others["before"])
        return desire(*args, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(adopted, "desire", noted)
    found = read(*EDITS["tags"])
    again = fitted(found, first.device, first)
    assert again.desired.interface is first.desired.interface
    assert given == [first.desired]


def test_a_policy_that_does_not_fit_is_refused_beside_a_known_one() -> None:
    known = adopt(read())
    stranger = replace(known.device, public_key=bytes(32))
    with pytest.raises(UsageError, match="no node has this interface's public key"):
        fitted(read(), stranger, known)
