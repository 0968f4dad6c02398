# SPDX-License-Identifier: Apache-2.0
"""What a bad document is told, and where."""

import pytest

from krait.policy.document import load
from krait.policy.problems import DocumentError, Problem

HERE = "»"
"""Where a problem is expected; taken out before the document is read."""


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(DocumentError) as caught:
        load(text.encode(), "krait.yaml")
    return caught.value.problems


def assert_refused_there(text: str, message: str) -> None:
    """One problem, at HERE, whose message has these words."""
    before, _, after = text.partition(HERE)
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    found = problems(before + after)
    assert [(problem.line, problem.column) for problem in found] == [(line, column)]
    assert message in found[0].message
    says_what_to_write = " expected " in found[0].message or " lacks " in found[0].message
    assert found[0].hint or says_what_to_write
