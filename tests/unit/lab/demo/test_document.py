# SPDX-License-Identifier: Apache-2.0
from base64 import b64encode

import pytest

from krait.cli.output import WIDTH
from krait.lab.demo.document import SUSPECT, TAGS, shortened, write
from krait.policy import expectations
from krait.policy.advice import advise
from krait.policy.document import load
from krait.policy.explain import Verdict, explain
from krait.policy.model import Document

KEYS = {name: b64encode(name.encode().ljust(32)).decode() for name in TAGS}


def document(*, quarantine: bool = False) -> Document:
    return load(write(KEYS, quarantine=quarantine).encode(), "krait.yaml")


@pytest.mark.parametrize("quarantine", [False, True])
def test_the_document_passes_its_own_tests_and_leaves_nothing_to_advise(quarantine: bool) -> None:
    assert not expectations.run(document(quarantine=quarantine))
    assert not advise(document(quarantine=quarantine))


def test_quarantine_takes_from_the_suspect_what_it_could_open_and_from_nobody_else() -> None:
    before, after = document(), document(quarantine=True)
    pairs = [(a, b) for a in TAGS for b in TAGS if a != b]
    changed = {
        source
        for source, to in pairs
        if explain(before, source, to).verdict != explain(after, source, to).verdict
    }
    assert changed == {SUSPECT}
    assert {explain(after, SUSPECT, to).verdict for _, to in pairs if to != SUSPECT} == {
        Verdict.DENIED
    }


def test_it_is_shown_without_whole_keys_and_within_the_width() -> None:
    shown = shortened(write(KEYS, quarantine=True))
    assert not any(key in shown for key in KEYS.values())
    assert KEYS["db1"][:6] in shown
    assert max(map(len, shown.splitlines())) <= WIDTH - 2  # it is indented
