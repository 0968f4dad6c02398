# SPDX-License-Identifier: Apache-2.0
"""When a revocation takes effect: nothing that is sent after the commit passes, at either end.

The agent notes the clock right after the one store that is the commit, and every tick of a flow
carries when it was sent. A tick received after the store may have been judged before it, for
WireGuard in userspace queues; a tick *sent* after it cannot. How late the last one came is printed
only, for the machine may be busy.
"""

from collections import Counter
from functools import partial

import pytest

from krait.lab.traffic import Flow
from tests.netns.agent.conftest import BOTH_KINDS
from tests.netns.flows import is_silent, ticks
from tests.netns.scenarios.conftest import Mesh, received, target
from tests.patience import wait_until

ENDS = {"alice": "tags: [a]", "bob": "tags: [b]"}
KEPT = "name: kept, from: a, to: b, ports: icmp"  # the pair stays one with ports
LIVE = "name: live, from: a, to: b, ports: [tcp/90, udp/90]"
TICKS = ticks(100)  # sent in vain by both ends


@BOTH_KINDS
@pytest.mark.parametrize("enforcing", ["alice", "bob"])
def test_nothing_that_is_sent_after_the_commit_passes(pair: Mesh, enforcing: str) -> None:
    warden = pair.warden(enforcing)
    warden.enforce(pair.document(ENDS, [KEPT, LIVE]))
    address = pair.hosts["bob"][0]
    with (
        Flow(pair["alice"], pair["bob"], target("tcp/90", address)) as tcp,
        Flow(pair["alice"], pair["bob"], target("udp/90", address)) as udp,
    ):
        flows = {"tcp": tcp, "udp": udp}
        for live in flows.values():
            wait_until_alive(live)
        before = Counter(warden.drops())
        stored_ns = warden.enforce(pair.document(ENDS, [KEPT]))
        for name, live in flows.items():
            wait_until(partial(is_silent, live, TICKS), live.report)
            report = live.report()
            for way in (report.forward, report.backward):
                to = "alice to bob" if way is report.forward else "bob to alice"
                late_ns = way.last_ns - stored_ns
                print(f"{name}, {to}: the last came {late_ns / 1e6:+.2f} ms after the commit")  # noqa: T201 - the figure is what a reader of the run wants
                assert way.last_sent_ns <= stored_ns
                assert way.sent > way.received
    assert (Counter(warden.drops()) - before).keys() == {"denied"}


def wait_until_alive(live: Flow) -> None:
    """Until both directions have carried a good many ticks."""
    wait_until(lambda: min(received(live.report())) >= ticks(50), live.report)
