# SPDX-License-Identifier: Apache-2.0
"""A prefix of nobody: hidden from the reference and from the tables alike."""

from array import array
from ipaddress import ip_network

import pytest

from krait.policy.capacity import SMALLEST
from krait.policy.compile import NOBODY, compile_policy
from krait.policy.image import draw
from krait.policy.judge import Judge
from krait.policy.view import resolve, withhold
from tests.strategies.packets import ACK, ethertype
from tests.unit.policy.bench import BRANCH, INTERFACE, ME, SYN_IN, WEB, document, of_tcp

INSIDE, OUTSIDE = ip_network(WEB), ip_network("10.20.0.128/25")


@pytest.mark.parametrize(
    ("frame", "cidr"),
    [
        (SYN_IN, INSIDE),
        (of_tcp(BRANCH, ME, ACK), ip_network("10.20.0.0/24")),
        (of_tcp(BRANCH, ME, ACK), ip_network(BRANCH)),
    ],
)
def test_a_withheld_prefix_belongs_to_nobody_and_hides_the_shorter_ones(
    frame: bytes, cidr: object
) -> None:
    found, judge = document(), Judge()
    view = resolve(found, INTERFACE)
    judge.commit(found.policy, view, 1)
    before = judge.judge(frame, ethertype(frame), "ingress", 0).reason.label
    assert before != "unknown-source"
    judge.commit(found.policy, withhold(view, [ip_network(str(cidr))]), 2)
    assert judge.judge(frame, ethertype(frame), "ingress", 0).reason.label == "unknown-source"


def test_withholding_elsewhere_changes_nothing_here() -> None:
    found, judge = document(), Judge()
    judge.commit(found.policy, withhold(resolve(found, INTERFACE), [OUTSIDE]), 1)
    assert judge.judge(SYN_IN, ethertype(SYN_IN), "ingress", 0).reason.label == "pass"


def test_the_tables_hold_a_withheld_prefix_as_nobodys_in_the_array_and_in_the_trie() -> None:
    found = document()
    view = withhold(resolve(found, INTERFACE), [INSIDE, OUTSIDE])
    compiled = compile_policy(found, view)
    assert compiled.principal_of(INSIDE) == compiled.principal_of(OUTSIDE) == NOBODY
    image = draw(compiled, SMALLEST, {})
    assert array("I", image.arrays["addr4"])[2] == NOBODY
    key = (8 + 25).to_bytes(4, "little") + b"\0" + OUTSIDE.network_address.packed
    assert image.prefixes["prefix4"][key] == NOBODY
