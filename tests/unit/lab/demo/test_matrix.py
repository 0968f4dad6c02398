# SPDX-License-Identifier: Apache-2.0
import pytest

from krait.lab.demo.matrix import FAMILIES, PROBES, Cell, cells, compare, expect, wrong
from krait.lab.traffic import Answer, Target
from krait.policy.document import load

DOCUMENT = load(
    b"""
nodes:
  a: {public_key: "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", tags: red}
  b: {public_key: "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=", tags: blue}
policy:
  rules:
    - {name: some, from: red, to: blue, ports: [tcp/5432, icmp6]}
""",
    "krait.yaml",
)
EVERY = cells(("a", "b"))


def answers(said: str) -> dict[Cell, Answer]:
    return {cell: Answer(Target(cell.probe.protocol, "", 0), said, 0.0) for cell in EVERY}


def test_every_probe_is_tried_over_both_families_between_every_ordered_pair() -> None:
    assert len(EVERY) == len(set(EVERY)) == 2 * len(PROBES) * len(FAMILIES)
    assert not any(cell.source == cell.destination for cell in EVERY)


def test_what_is_expected_is_what_the_document_says() -> None:
    allowed = {str(cell) for cell, decision in expect(DOCUMENT, EVERY).items() if decision.allows}
    assert allowed == {
        "a to b, tcp/5432 over IPv4",
        "a to b, tcp/5432 over IPv6",
        "a to b, icmp over IPv6",
    }


@pytest.mark.parametrize(("said", "agreeing"), [("ok", 3), ("timeout", 17), ("refused", 0)])
def test_an_echo_agrees_with_allow_silence_with_deny_and_an_error_with_nothing(
    said: str, agreeing: int
) -> None:
    matrix = compare(expect(DOCUMENT, EVERY), answers(said))
    assert len(matrix) - len(wrong(matrix)) == agreeing
