# SPDX-License-Identifier: Apache-2.0
"""`krait up --confirm`: what nobody confirms goes back, whoever died meanwhile."""

import time

from tests.netns.up.conftest import CONFIG, RULES, Site

OTHER = "/run/site/other.yaml"
TRIAL_S = 5


def begin(site: Site, config: str = CONFIG) -> None:
    outcome = site.up("alice", "--confirm", f"{TRIAL_S}s", config=config)
    assert outcome.code == 0, outcome.stderr
    assert "krait confirm wg0" in outcome.stderr


def test_a_first_device_that_nobody_confirms_is_taken_away(site: Site) -> None:
    site.write("alice", site.document())
    begin(site)
    assert site.traces("alice")
    site["alice"].wait_until_succeeds("! ip link show wg0 2>/dev/null", TRIAL_S + 15)
    site["alice"].wait_until_succeeds("! pgrep -f '[k]rait rollback'")
    assert site.traces("alice") == ""


def test_what_is_confirmed_stays(site: Site) -> None:
    site.write("alice", site.document())
    begin(site)
    site["alice"].succeed(["krait", "confirm", "wg0"])
    site["alice"].wait_until_succeeds("! pgrep -f '[k]rait rollback'", TRIAL_S + 15)
    assert site.status("alice")["enforced"]
    assert site["alice"].run(["krait", "confirm", "wg0"]).code == 1


def test_an_unconfirmed_change_gives_way_to_the_document_of_before_though_the_agent_died(
    site: Site,
) -> None:
    site.start(None, "alice")
    old = site.status("alice")["policy"]["document"]
    site.write("alice", site.document(RULES.replace("tcp/80", "tcp/81")), OTHER)
    begin(site, OTHER)
    assert site.status("alice")["policy"]["document"] != old
    site["alice"].succeed("pkill -9 -f '[k]rait agent'")
    site["alice"].wait_until_succeeds("pgrep -f '[k]rait agent'", TRIAL_S + 15)
    site["alice"].wait_until_succeeds("! pgrep -f '[k]rait rollback'")
    assert site.status("alice")["policy"]["document"] == old


def test_a_trial_that_ended_while_all_were_dead_is_settled_by_the_next_agent(site: Site) -> None:
    site.start(None, "alice")
    site.write("alice", site.document(RULES.replace("tcp/80", "tcp/81")), OTHER)
    begin(site, OTHER)
    site["alice"].succeed("pkill -9 -f '[k]rait rollback'; pkill -9 -f '[k]rait agent'")
    time.sleep(TRIAL_S)
    agent = site["alice"].spawn(["krait", "agent", "--iface", "wg0"])
    site["alice"].wait_until_succeeds(f"krait status wg0 | grep {CONFIG}")
    assert "nobody confirmed" in agent.stderr


def test_the_file_in_force_cannot_be_tried_for_it_counts_as_it_is_saved(site: Site) -> None:
    site.start(None, "alice")
    outcome = site.up("alice", "--confirm", "60s")
    assert outcome.code == 2
    assert "copy" in outcome.stderr
    assert site.status("alice")["enforced"]


def test_rollback_goes_back_at_once(site: Site) -> None:
    site.write("alice", site.document())
    outcome = site.up("alice", "--confirm", "10m")
    assert outcome.code == 0, outcome.stderr
    site["alice"].succeed(["krait", "rollback", "wg0"])
    site["alice"].fail("ip link show wg0")
    assert site["alice"].run(["krait", "rollback", "wg0"]).code == 1
