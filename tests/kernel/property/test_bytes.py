# SPDX-License-Identifier: Apache-2.0
"""Whatever the bytes, the kernel program judges them as the reference does; and none gets through
where the policy allows nothing.

Dry runs, which say why and leave no trace: no counter has to be read, and each frame is the first.
"""

from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_interface, ip_network
from itertools import islice
from random import Random

import pytest

from krait.common.abi import PairLayout
from krait.common.reason import Reason
from krait.kernel.bpf.testrun import Run, ethernet, run
from krait.kernel.datapath import Datapath
from krait.kernel.hook import Hook
from krait.policy.compile import compile_policy
from krait.policy.document import load
from krait.policy.image import draw
from krait.policy.judge import Judge
from krait.policy.numbering import Numbers
from krait.policy.view import Interface, Peer
from tests.documents import key
from tests.figures import Figures
from tests.kernel.property.amount import ENOUGH, PACKETS, SEED
from tests.kernel.property.kernel_judge import DROP, GO_ON, LOOPBACK, can_run, capacity
from tests.strategies.mangled import Mangled, mangled
from tests.strategies.worlds import ODD_ADDRESSES, World, landmarks

FRAMES = 2 * PACKETS

UNREACHED = frozenset(
    {
        *(Reason.NOT_READY, Reason.NO_PAIR, Reason.FLOW_FULL),
        Reason.OPEN_LIMIT,  # a dry run opens nothing
        Reason.FRAGMENT_OVERLAP,  # of a first fragment that left its trace
    }
)

NODES = f"""
mesh: {{cidr: [10.8.0.0/24, "fd00:8::/64"]}}
nodes:
  here:
    public_key: "{key(1)}"
    tags: [a]
    address: [10.8.0.1, "fd00:8::1"]
    routes: [{{cidr: 10.20.0.0/24, tags: [d]}}]
    transit: true
  near: {{public_key: "{key(2)}", tags: [b], address: [10.8.0.2, "fd00:8::2"]}}
  far:
    public_key: "{key(3)}"
    tags: [c]
    address: [10.8.0.3, "fd00:8::3"]
    routes: [{{cidr: "fd01::/64", tags: [d]}}, 10.30.0.0/24]
"""
RULES = """
multicast: {every: {address: [224.0.0.0/4, "ff02::/16"], tags: [a]}}
policy:
  rules:
    - {name: out, from: c, to: "*"}
    - {name: back, from: "*", to: c}
    - {name: web, from: b, to: a, ports: [tcp/80-90, udp/53, icmp]}
    - {name: no-ssh, from: a, to: d, ports: tcp/22, action: deny}
    - {name: gre, from: a, to: a}
"""


def world(policy: str) -> World:
    """Of the node `here`, whose peer `far` has a prefix more than the document says."""
    peers = (
        Peer(bytes([2]) * 32, (ip_network("10.8.0.2/32"), ip_network("fd00:8::2/128"))),
        Peer(
            bytes([3]) * 32,
            tuple(
                map(
                    ip_network,
                    ("10.8.0.3/32", "10.30.0.0/24", "fd00:8::3/128", "fd01::/64"),
                )
            ),
        ),
        Peer(bytes([9]) * 32, (ip_network("10.99.0.0/16"),)),
    )
    own = (ip_interface("10.8.0.1/24"), ip_interface("fd00:8::1/64"))
    return World(
        load(f"{NODES}{policy}".encode(), "bytes.yaml"), Interface(bytes([1]) * 32, own, peers)
    )


class Filter:
    """One world in force, asked dry."""

    def __init__(self, world: World) -> None:
        compiled = compile_policy(world.document, world.view, Numbers())
        layout = PairLayout.TRIANGLE if world.view.transit else PairLayout.ROWS
        self.datapath = Datapath.load(capacity(layout))
        image = draw(compiled, self.datapath.capacity, {})
        self.datapath.write(1, image, known=None, held={})
        self.datapath.commit(1, 1)
        self.rules = ("default", *compiled.numbers.rules)

    def judge(self, sent: Mangled) -> Run:
        return run(
            self.datapath.programs[Hook(sent.side)].fd,
            ethernet(sent.frame, sent.ethertype),
            ingress_ifindex=LOOPBACK if sent.came_in else 0,
        )


@pytest.fixture
def filters() -> Iterator[dict[str, Filter]]:
    made = {policy: Filter(world(policy)) for policy in (RULES, "policy: {}")}
    yield made
    for each in made.values():
        each.datapath.close()


def frames(seen: World) -> Iterator[Mangled]:
    addresses = [*landmarks(seen.view), *ODD_ADDRESSES]
    usual = [each for node in seen.document.nodes for each in node.addresses]
    found = mangled(Random(SEED), [*usual * len(addresses), *addresses])  # noqa: S311 - not for secrets
    return islice((each for each in found if can_run(each.frame, each.ethertype)), FRAMES)


def test_any_bytes_are_judged_as_the_reference_does_and_pass_no_empty_policy(
    filters: dict[str, Filter], figures: Figures
) -> None:
    ruled, shut, seen = filters[RULES], filters["policy: {}"], world(RULES)
    names = {0: "default", **{rule.number: rule.name for rule in seen.document.policy.rules}}
    reasons, reference = Counter[Reason](), Judge()
    reference.commit(seen.document.policy, seen.view, 1)
    for sent in frames(seen):
        reference.flows.clear()
        reference.fragments.clear()
        expected = reference.judge(sent.frame, sent.ethertype, sent.side, 0, came_in=sent.came_in)
        found = ruled.judge(sent)
        reason = Reason(found.cb[0])
        rule = ruled.rules[found.cb[1]] if reason in (Reason.PASS, Reason.DENIED) else None
        wanted = None if expected.rule is None else names[expected.rule]
        assert (reason, rule) == (expected.reason, wanted), str(sent)
        assert found.verdict == (GO_ON if reason is Reason.PASS else DROP), str(sent)
        assert shut.judge(sent).verdict == DROP, str(sent)
        reasons[reason] += 1
    figures(
        f"{reasons.total():,} frames of any bytes judged alike; {reasons[Reason.MALFORMED]:,} "
        f"malformed, {reasons[Reason.PASS]:,} passed"
    )
    if PACKETS >= ENOUGH:
        assert reasons.keys() == set(Reason) - UNREACHED, "what the generator reaches has changed"
