# SPDX-License-Identifier: Apache-2.0
"""Agents that are killed while they make or change their device; the next one ends what they began.

KRAIT_KILLS for more of them, KRAIT_SEED for the same moments again.
"""

import os
import random
import time

from krait.lab.machine import CommandTimedOut
from tests.netns.up.conftest import PATIENCE_S, Site, hosts

SEED = int(os.environ.get("KRAIT_SEED", str(random.randrange(1 << 32))))  # noqa: S311 - no secret
KILLS = int(os.environ.get("KRAIT_KILLS", "10"))
AGENT = ["krait", "agent", "--iface", "wg0", "--as-ordered"]

_GONE = """
ip link delete wg0 2>/dev/null
while [ -e /run/wireguard/wg0.sock ]; do sleep 0.05; done
"""
_REBOOTED = f"""{_GONE}
for family in -4 -6; do
  ip $family rule flush protocol 75
  ip $family route flush table all proto 75
done
rm -rf /sys/fs/bpf/krait/wg0 /run/krait/*
"""


class Story:
    """What happens to Alice between one agent and the next."""

    def __init__(self, site: Site, chance: random.Random) -> None:
        self.site, self.chance = site, chance
        self.is_small = False
        self.may_be_open = False
        """A machine that starts has no routes until its agent makes them."""

    def edit(self) -> None:
        self.is_small = not self.is_small
        nodes = self.site.nodes()
        if self.is_small:
            del nodes["carol"]
            nodes["bob"] += ", routes: [{cidr: 10.20.0.0/24, tags: [lan]}]"
        self.site.write("alice", self.site.document(nodes=nodes))

    def lose(self) -> None:
        self.site["alice"].succeed(_GONE)

    def reboot(self) -> None:
        self.site["alice"].succeed(_REBOOTED)
        self.may_be_open = True

    def down(self) -> None:
        self.site["alice"].succeed("ip link set wg0 down 2>/dev/null; true")

    def nothing(self) -> None:
        pass

    def go_on(self) -> str:
        events = (self.edit, self.edit, self.lose, self.reboot, self.down, self.nothing)
        event = self.chance.choice(events)
        self.may_be_open = False
        event()
        return event.__name__


def test_whoever_is_killed_leaves_nothing_open_and_the_next_one_ends_what_he_began(
    site: Site,
) -> None:
    site.start(None, "alice")
    alice = site["alice"]
    chance = random.Random(SEED)  # noqa: S311 - no secret
    story = Story(site, chance)
    alice.succeed("kill -9 $(cat /run/krait/wg0.lock)")
    alice.wait_until_fails("pgrep -f '[k]rait agent'", PATIENCE_S)
    story.lose()
    begun = time.monotonic()
    agent = alice.spawn(AGENT)
    assert_settled(site, story, "before any kill")
    whole_s = time.monotonic() - begun
    agent.kill()
    agent.wait()
    for number in range(KILLS):
        event, after_s = story.go_on(), chance.uniform(0.1, 1.1) * whole_s
        place = f"KRAIT_SEED={SEED}, kill {number}, {event}, after {after_s:.2f} s"
        agent = alice.spawn(AGENT)
        time.sleep(after_s)  # the moment is what is tried here
        agent.kill()
        agent.wait()
        assert_shut(site, place, may_be_open=story.may_be_open)
        agent = alice.spawn(AGENT)
        try:
            assert_settled(site, story, place)
        except CommandTimedOut as late:
            raise AssertionError(f"{place}: {late}\n--- the agent\n{agent.stderr}") from late
        agent.kill()
        agent.wait()


def assert_shut(site: Site, place: str, *, may_be_open: bool) -> None:
    """No device of ours is up and bare, and nothing for the mesh leaves past it."""
    if site["alice"].succeed("ip -o link show up group 1802658153"):
        assert site.status("alice")["condition"] != "not enforcing", place
    for host in hosts(2):
        told = site["alice"].run(["ip", "route", "get", host])
        is_led = "dev wg0" in told.stdout or "No route to host" in told.stderr
        assert is_led or may_be_open, f"{place}: {told.stdout}"


def assert_settled(site: Site, story: Story, place: str) -> None:
    alice = site["alice"]
    others = ("bob",) if story.is_small else ("bob", "carol")
    keys = sorted(site.key(each) for each in others)
    want = f"test \"$(wg show wg0 peers | sort | tr '\\n' ' ')\" = '{' '.join(keys)} '"
    alice.wait_until_succeeds(want, PATIENCE_S)
    site.wait("alice", "krait status wg0 --json | grep '\"enforced\": true'")
    site.wait("alice", "ip -o link show up group 1802658153 | grep wg0")
    for family in ("-4", "-6"):
        site.wait("alice", f"test $(ip {family} route show table 27506 | wc -l) = 2")
        site.wait("alice", f"ip {family} rule | grep 'lookup 27506 proto 75'")
    behind = "ip route show proto 75 | grep '10.20.0.0/24 dev wg0'"
    site.wait("alice", behind if story.is_small else f"! {behind}")
    assert site.status("alice")["agent"]["faults"] == [], place
