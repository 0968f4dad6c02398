# SPDX-License-Identifier: Apache-2.0
"""Question 5 of docs/packet-path.md."""

import pytest

from krait.common.abi import PairClass
from krait.policy.document import load
from krait.policy.model import Policy
from krait.policy.pair import pair_class, ports_concern

A, B = frozenset({"a"}), frozenset({"b"})
STATELESS, DENY_BOTH, STATEFUL = (
    PairClass.ALLOW_STATELESS,
    PairClass.DENY_BOTH,
    PairClass.STATEFUL,
)


def policy(rules: str, default: str) -> Policy:
    """Nodes n1 and n2 with tags a and b."""
    text = f"""
nodes:
  n1: {{public_key: "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", tags: [a]}}
  n2: {{public_key: "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=", tags: [b]}}
policy: {{default: {default}, rules: [{rules}]}}
"""
    return load(text.encode(), "test.yaml").policy


THERE = "{from: a, to: b}"
BACK = "{from: b, to: a}"
CLASSES = {
    "nothing said": ("", "deny", DENY_BOTH),
    "default allow": ("", "allow", STATELESS),
    "one way": (THERE, "deny", STATEFUL),
    "both ways": (f"{THERE}, {BACK}", "deny", STATELESS),
    "an allowed port": ("{from: a, to: b, ports: tcp/22}", "deny", STATEFUL),
    "an allowed port that says nothing new": (
        "{from: a, to: b, ports: tcp/22}",
        "allow",
        STATEFUL,
    ),
    "a denied port": ("{from: a, to: b, ports: tcp/65535}", "allow", STATEFUL),
    "a port denied and nothing allowed": (
        "{from: a, to: b, ports: tcp/22, action: deny}",
        "deny",
        DENY_BOTH,
    ),
    "a port allowed and denied": (
        "{from: a, to: b, ports: tcp/22-90}, {from: a, to: b, ports: tcp/0-90, action: deny}",
        "deny",
        DENY_BOTH,
    ),
    "a range allowed, all but its last port denied": (
        "{from: a, to: b, ports: tcp/80-90},{from: a, to: b, ports: tcp/80-89, action: deny}",
        "deny",
        STATEFUL,
    ),
    "everything allowed and denied": (
        f"{THERE}, {BACK}, {{from: '*', to: '*', action: deny}}",
        "allow",
        DENY_BOTH,
    ),
    "all ports of every known protocol denied": (
        "{from: '*', to: '*', ports: [tcp, udp, icmp], action: deny}",
        "allow",
        STATEFUL,
    ),
    "an audit rule with ports": (
        "{from: a, to: b, ports: tcp/22, action: deny, audit: true}",
        "allow",
        STATELESS,
    ),
    "an audit rule that allows": ("{from: a, to: b, audit: true}", "deny", DENY_BOTH),
}


@pytest.mark.parametrize(("rules", "default", "wanted"), CLASSES.values(), ids=CLASSES.keys())
def test_a_pair_has_its_class_whichever_way_round(
    rules: str, default: str, wanted: PairClass
) -> None:
    assert pair_class(policy(rules, default), A, B) is wanted
    assert pair_class(policy(rules, default), B, A) is wanted


def test_ports_concern_the_direction_whose_opens_the_rule_means() -> None:
    found = policy("{from: a, to: b, ports: tcp/22, action: deny}", "deny")
    assert ports_concern(found, A, B)
    assert not ports_concern(found, B, A)
    assert not ports_concern(policy(THERE, "deny"), A, B)
