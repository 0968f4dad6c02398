# SPDX-License-Identifier: Apache-2.0
"""A device of Krait's that loses its filter carries nothing until it has one again."""

from tests.netns.up.conftest import CONFIG, Site
from tests.requirements import NEEDS_TCX

_IS_UP = "ip -br link show dev wg0 up | grep wg0"
_NO_CLSACT = "until tc qdisc del dev wg0 clsact && tc qdisc add dev wg0 ingress; do :; done"
"""What comes first is the other kind of qdisc, which has no egress: a filter there is refused."""


def test_a_device_that_no_filter_can_be_put_on_goes_down_and_comes_back_with_one(
    site: Site,
) -> None:
    site.start(None, "bob")
    site.write("alice", site.document())
    assert site.up("alice", "--attach", "clsact").code == 0
    site.ping("alice", "bob")
    with site.altered("alice", _NO_CLSACT, "tc qdisc del dev wg0 ingress"):
        site.wait("alice", f"! {_IS_UP}")
    site.wait("alice", _IS_UP)
    site.ping("alice", "bob")
    assert site.status("alice")["enforced"]


@NEEDS_TCX  # whose links go with their pins; a clsact filter would still be there
def test_an_agent_that_cannot_start_leaves_no_bare_device_up(site: Site) -> None:
    site.start(None, "alice")
    alice = site["alice"]
    alice.succeed("kill -9 $(cat /run/krait/wg0.lock)")
    alice.wait_until_fails("pgrep -f '[k]rait agent'")
    alice.succeed(_IS_UP)
    alice.succeed("rm -r /sys/fs/bpf/krait/wg0 && mv /var/lib/krait/wg0.key /run/aside.key")
    try:
        outcome = alice.run(["krait", "agent", "--iface", "wg0"])
        assert outcome.code == 2, outcome.stderr
        assert "wg0.key" in outcome.stderr
        assert "down: it has no filter" in outcome.stderr
        alice.fail(_IS_UP)
    finally:
        alice.succeed("mv /run/aside.key /var/lib/krait/wg0.key")
    site.write("alice", site.document(), CONFIG)
    assert site.up("alice").code == 0
    alice.succeed(_IS_UP)
    assert site.status("alice")["enforced"]
