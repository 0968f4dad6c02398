# SPDX-License-Identifier: Apache-2.0
"""`krait up` that fails or is interrupted, or finds another agent: things are as they were."""

import signal

import pytest

from krait.lab.machine import Process
from tests.netns.up.conftest import CONFIG, PATIENCE_S, RULES, USERSPACE, Site
from tests.patience import wait_until

OTHER = "/run/site/other.yaml"
ANY = "/etc/krait/wg0.yaml"  # where an agent that nobody gave orders looks
HERE = "/proc/self/cwd/psk"
"""A key that `krait up` finds where it was called, and its agent does not."""
UP = ["krait", "up", "--config", CONFIG, *USERSPACE]


def with_key(site: Site) -> str:
    """A document that `krait up` takes in /run/site, and the agent that it starts does not."""
    site["alice"].succeed("umask 77; mkdir -p /run/site && wg genpsk >/run/site/psk")
    nodes = site.nodes()
    nodes["bob"] += f", preshared_key_file: {HERE}"
    return site.document(RULES.replace("tcp/80", "tcp/81"), nodes)


def orders(site: Site) -> str:
    return site["alice"].succeed("cat /var/lib/krait/wg0.up")


def test_a_first_document_that_the_agent_cannot_take_leaves_nothing(site: Site) -> None:
    site.write("alice", with_key(site), OTHER)
    up = f"cd /run/site && krait up --config {OTHER} {' '.join(USERSPACE)}"
    outcome = site["alice"].run(up, timeout_s=PATIENCE_S)
    assert outcome.code != 0
    assert HERE in outcome.stderr
    assert site.traces("alice") == ""


@pytest.mark.parametrize("option", ["", "--confirm 10m"])
def test_a_document_that_the_agent_cannot_take_gives_way_to_the_one_of_before(
    site: Site, option: str
) -> None:
    site.start(None, "alice")
    before = orders(site)
    site.write("alice", with_key(site), OTHER)
    up = f"cd /run/site && krait up --config {OTHER} {option} {' '.join(USERSPACE)}"
    outcome = site["alice"].run(up, timeout_s=PATIENCE_S)
    assert outcome.code == 3, outcome.stdout
    assert f"does not take {OTHER}" in outcome.stderr
    assert HERE in outcome.stderr
    assert orders(site) == before
    assert site.status("alice")["policy"]["document"] == CONFIG
    assert site.status("alice")["enforced"]
    site.wait("alice", "! pgrep -f '[k]rait rollback'")
    assert orders(site) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_first_up_leaves_nothing(site: Site, number: signal.Signals) -> None:
    site.write("alice", site.document())
    site.write("alice", site.document(), ANY)
    up = begun(site)
    up.kill(number)
    assert up.wait(PATIENCE_S) != 0
    # One that was only just forked finds no orders, and ends.
    site["alice"].wait_until_fails("pgrep -f '[k]rait agent'", PATIENCE_S)
    assert site.traces("alice") == ""


def test_an_agent_that_waits_for_the_interface_gives_way(site: Site) -> None:
    site.write("alice", site.document())
    site.write("alice", site.document(), ANY)
    waiting = site["alice"].spawn(["krait", "--iface", "wg0"])
    site.wait("alice", 'krait status wg0 --json | grep \'"condition": "waiting"\'')
    outcome = site.up("alice")
    assert outcome.code == 0, outcome.stderr
    assert "the agent that waited for wg0 ends" in outcome.stderr
    assert waiting.wait(PATIENCE_S) == 0
    assert site.status("alice")["enforced"]
    assert site["alice"].succeed("pgrep -cf '[k]rait agent'").strip() == "1"


def test_options_that_are_not_given_again_are_as_they_were(site: Site) -> None:
    site.start(None, "alice")
    before = orders(site)
    outcome = site["alice"].run(["krait", "up", "--config", CONFIG], timeout_s=PATIENCE_S)
    assert outcome.code == 0, outcome.stderr
    assert "up already" in outcome.stdout
    assert orders(site) == before


def test_up_again_is_an_error_where_the_agent_cannot_take_what_is_there_now(site: Site) -> None:
    site.start(None, "alice")
    site.write("alice", with_key(site), OTHER)
    site["alice"].succeed(f"cp {OTHER} {CONFIG}")
    outcome = site["alice"].run(f"cd /run/site && {' '.join(UP)}", timeout_s=PATIENCE_S)
    assert outcome.code == 3, outcome.stdout
    assert HERE in outcome.stderr
    assert site.status("alice")["enforced"]


def test_a_preshared_key_that_comes_later_is_found_without_a_hand(site: Site) -> None:
    site.start(None, "alice")
    nodes = site.nodes()
    nodes["bob"] += ", preshared_key_file: /run/site/later"
    site.write("alice", site.document(nodes=nodes))
    site.wait("alice", "krait status wg0 | grep 'no preshared key'")
    site["alice"].succeed("umask 77; wg genpsk >/run/site/later")
    site.wait("alice", "! krait status wg0 | grep 'no preshared key'")
    key = site["alice"].succeed("cat /run/site/later").strip()
    assert key in site["alice"].succeed("wg show wg0 preshared-keys")


def test_in_the_foreground_others_have_their_turn_once_it_is_up(site: Site) -> None:
    site.write("alice", site.document())
    up = site["alice"].spawn([*UP, "--foreground"])
    wait_until(lambda: "attach to egress" in up.stderr, lambda: up.stderr)
    site.wait("alice", "krait confirm wg0; test $? = 1")
    up.kill(signal.SIGTERM)
    assert up.wait(PATIENCE_S) == 0
    assert site.status("alice")["enforced"]


def begun(site: Site) -> Process:
    """A first `krait up` that has given its orders."""
    up = site["alice"].spawn(UP)
    site.wait("alice", "test -e /var/lib/krait/wg0.up")
    return up
