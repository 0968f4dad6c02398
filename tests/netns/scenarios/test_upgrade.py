# SPDX-License-Identifier: Apache-2.0
"""Another build of Krait takes over an interface from a dead one, with live flows on it."""

import pytest

from krait.agent.steps import Swap
from krait.kernel.datapath import OBJECT
from krait.kernel.hook import Hook
from krait.lab.machine import unhurried
from krait.lab.traffic import Flow
from tests.netns.agent.conftest import BOTH_KINDS
from tests.netns.flows import ticks
from tests.netns.scenarios.conftest import Mesh, received, target
from tests.patience import wait_until

ENDS = {"alice": "tags: a", "bob": "tags: b"}
LIVE = "name: live, from: a, to: b, ports: [tcp/90, udp/90]"
STRICT = "  strict: true\n"  # no segment makes up for a flow that is forgotten
OLDER = "/run/older.o"
TICKS = ticks(20)


@pytest.fixture
def older(pair: Mesh) -> str:
    """The command that ends that Bob's agents load an older object: one that judges alike, for a
    build is known by its bytes.
    """
    pair["bob"].succeed(
        f"cp {OBJECT} {OLDER} && echo older >>{OLDER} && mount --bind {OLDER} {OBJECT}"
    )
    return f"umount {OBJECT}"


@BOTH_KINDS
def test_live_flows_go_on_while_another_build_is_swapped_in(pair: Mesh, older: str) -> None:
    bob, text = pair.warden("bob"), pair.document(ENDS, [LIVE]) + STRICT
    bob.enforce(text)
    with flow(pair, "tcp/90") as tcp, flow(pair, "udp/90") as udp:
        for live in (tcp, udp):
            wait_for_ticks(live)
        bob.kill()
        pair["bob"].succeed(older)
        bob.enforce(text)
        bob.wait_for(*(str(Swap(hook)) for hook in Hook), "remove")
        before = bob.counted()
        for live in (tcp, udp):
            wait_for_ticks(live)
            assert not live.report().error
        # Segments of a flow that is not remembered would drop, and Bob's datagrams.
        assert not bob.drops()
        moved = bob.counted() - before
        assert moved.keys() == {"rule live"}
        assert before["rule live"] > 4 * TICKS  # those of before the swap among them


def flow(pair: Mesh, probe: str) -> Flow:
    """Ticks are rare, for on slow machines they are there for long."""
    to_bob = target(probe, pair.hosts["bob"][0])
    return Flow(pair["alice"], pair["bob"], to_bob, interval_s=unhurried(0.001, 0.3))


def wait_for_ticks(live: Flow) -> None:
    """Until both ends have received so many more."""
    least = max(received(live.report())) + TICKS
    wait_until(lambda: min(received(live.report())) >= least, live.report)
