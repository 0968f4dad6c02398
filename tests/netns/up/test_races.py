# SPDX-License-Identifier: Apache-2.0
"""Commands at once, and commands that are killed: whoever comes next puts all right.

KRAIT_SEED for the same moments again.
"""

import os
import random
import time

import pytest

from krait.lab.machine import Process
from tests.netns.up.conftest import CONFIG, PATIENCE_S, RULES, USERSPACE, Site

OTHER = "/run/site/other.yaml"
ANY = "/etc/krait/wg0.yaml"  # where an agent that nobody gave orders would look
SEED = int(os.environ.get("KRAIT_SEED", str(random.randrange(1 << 32))))  # noqa: S311 - no secret
KILLS = 4
TURN = "another command works on wg0"
UP = ["krait", "up", "--config", CONFIG, *USERSPACE]
DOWN = ["krait", "down", "wg0"]


def ended(process: Process) -> int:
    """How a command ended, which must be well or because another one has its turn."""
    code = process.wait(PATIENCE_S)
    assert code in (0, 3), process.stderr
    assert code == 0 or TURN in process.stderr, process.stderr
    return code


def assert_up(site: Site) -> None:
    site.wait("alice", "krait status wg0 --json | grep '\"enforced\": true'")
    assert site["alice"].succeed("pgrep -cf '[k]rait agent'").strip() == "1"
    assert site["alice"].succeed("pgrep -cf '[w]ireguard-go'").strip() == "1"
    assert "wg0" in site["alice"].succeed("ip -o link show up group 1802658153")


def assert_down(site: Site) -> None:
    site["alice"].wait_until_fails("pgrep -f '[w]ireguard-go'")
    assert site.traces("alice") == ""
    assert site["alice"].succeed("ls -A /run/krait /var/lib/krait").split() == [
        "/run/krait:",
        "/var/lib/krait:",
        "wg0.key",
    ]


def test_up_twice_at_once_is_up_once(site: Site) -> None:
    site.write("alice", site.document())
    both = [site["alice"].spawn(UP) for _ in range(2)]
    assert 0 in [ended(each) for each in both]
    assert_up(site)


def test_down_in_the_middle_of_up_waits_for_its_turn_or_is_told(site: Site) -> None:
    site.write("alice", site.document())
    up = site["alice"].spawn(UP)
    site.wait("alice", "test -e /var/lib/krait/wg0.up")
    down = site["alice"].spawn(DOWN)
    assert ended(up) == 0
    if ended(down):
        assert_up(site)
        site["alice"].succeed(DOWN, timeout_s=PATIENCE_S)
    assert_down(site)


def test_up_in_the_middle_of_down_waits_for_its_turn_or_is_told(site: Site) -> None:
    site.start(None, "alice")
    down, up = (site["alice"].spawn(each) for each in (DOWN, UP))
    codes = ended(down), ended(up)
    assert 0 in codes
    assert site.up("alice").code == 0
    assert_up(site)
    site["alice"].succeed(DOWN, timeout_s=PATIENCE_S)
    assert_down(site)


@pytest.mark.parametrize("following", ["up", "down"])
def test_whatever_up_had_done_when_it_was_killed_the_next_command_ends_well(
    site: Site, following: str
) -> None:
    chance = random.Random(f"{SEED} {following}")  # noqa: S311 - no secret
    site.write("alice", site.document(), ANY)
    began_s = time.monotonic()
    site.start(None, "alice")
    length_s = time.monotonic() - began_s
    site["alice"].succeed(DOWN, timeout_s=PATIENCE_S)
    for number in range(KILLS):
        after_s = chance.uniform(0.2, 1) * length_s
        place = f"KRAIT_SEED={SEED}, kill {number} after {after_s:.2f} s of {length_s:.2f}"
        up = site["alice"].spawn(UP)
        time.sleep(after_s)  # the moment is what is tried here
        up.kill()
        up.wait()
        up_now = site["alice"].succeed("ip -o link show up group 1802658153")
        if up_now:
            assert site.status("alice")["condition"] != "not enforcing", place
        if following == "up":
            assert site.up("alice").code == 0, place
            assert_up(site)
        site["alice"].succeed(DOWN, timeout_s=PATIENCE_S)
        # The agent that the dead one left behind may have begun when there was nothing to end yet.
        site["alice"].wait_until_fails("pgrep -f '[k]rait agent'", PATIENCE_S)
        assert_down(site)


def test_a_killed_down_is_ended_by_the_next(site: Site) -> None:
    chance = random.Random(SEED)  # noqa: S311 - no secret
    for number in range(KILLS):
        site.start(None, "alice")
        down = site["alice"].spawn(DOWN)
        after_s = chance.uniform(0.2, 1.5)
        time.sleep(after_s)  # the moment is what is tried here
        down.kill()
        down.wait()
        site["alice"].succeed(DOWN, timeout_s=PATIENCE_S)
        assert site.traces("alice") == "", f"KRAIT_SEED={SEED}, kill {number} after {after_s:.2f} s"


def test_two_rollbacks_at_once_go_back_once(site: Site) -> None:
    site.start(None, "alice")
    site.write("alice", site.document(RULES.replace("tcp/80", "tcp/81")), OTHER)
    outcome = site.up("alice", "--confirm", "10m", config=OTHER)
    assert outcome.code == 0, outcome.stderr
    both = [site["alice"].spawn(["krait", "rollback", "wg0"]) for _ in range(2)]
    codes = sorted(each.wait(PATIENCE_S) for each in both)
    assert codes[0] == 0, [each.stderr for each in both]
    assert codes[1] in (1, 3)  # nothing is on trial any more, or another command works
    assert site.status("alice")["policy"]["document"] == CONFIG
    assert_up(site)


def test_a_confirmation_counts_until_the_trial_is_over_and_is_told_to_be_too_late_then(
    site: Site,
) -> None:
    site.start(None, "alice")
    site.write("alice", site.document(RULES.replace("tcp/80", "tcp/81")), OTHER)
    for left_s, outcome in ((5.0, 0), (-1.0, 2)):
        assert site.up("alice", "--confirm", "10m", config=OTHER).code == 0
        site["alice"].succeed("pkill -9 -f '[k]rait rollback'")
        # So that the moment is near, however long the start took; nobody goes back but who is told.
        site["alice"].succeed(["python", "-c", _SHORTEN, str(left_s)])
        confirmed = site["alice"].run(["krait", "confirm", "wg0"])
        assert confirmed.code == outcome, confirmed.stderr
        assert ("too late" in confirmed.stderr) == (outcome != 0)
        site["alice"].run(["krait", "rollback", "wg0", "--when-due"], timeout_s=PATIENCE_S)
        document = site.status("alice")["policy"]["document"]
        assert document == (CONFIG if outcome else OTHER)
        assert_up(site)
        assert site.up("alice").code == 0


def test_a_confirmation_while_it_goes_back_is_one_or_the_other(site: Site) -> None:
    site.start(None, "alice")
    site.write("alice", site.document(RULES.replace("tcp/80", "tcp/81")), OTHER)
    assert site.up("alice", "--confirm", "10m", config=OTHER).code == 0
    site["alice"].succeed(["python", "-c", _SHORTEN, "0.3"])
    both = [
        site["alice"].spawn(["krait", *each])
        for each in (("rollback", "wg0", "--when-due"), ("confirm", "wg0"))
    ]
    rollback, confirm = (each.wait(PATIENCE_S) for each in both)
    assert confirm in (0, 2, 3), both[1].stderr
    document = site.status("alice")["policy"]["document"]
    assert document == (OTHER if confirm == 0 else CONFIG), (rollback, both[0].stderr)
    assert_up(site)


_SHORTEN = """
import sys
from dataclasses import replace
from krait.agent.managed.orders import begin_trial
from krait.agent.managed.turn import Turn
from krait.agent.paths import Paths
with Turn.take("wg0", Paths.here()) as turn:
    trial = begin_trial(float(sys.argv[1]), turn.standing.trial.before)
    turn.restore(replace(turn.standing, trial=trial))
"""
