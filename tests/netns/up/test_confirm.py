# SPDX-License-Identifier: Apache-2.0
"""`krait up --confirm`: what nobody confirms goes back, whoever died meanwhile."""

import time

from tests.netns.up.conftest import CONFIG, PATIENCE_S, RULES, USERSPACE, Site

OTHER, THIRD = "/run/site/other.yaml", "/run/site/third.yaml"
TRIAL_S = 5


def begin(site: Site, config: str = CONFIG, length: str = f"{TRIAL_S}s") -> None:
    outcome = site.up("alice", "--confirm", length, config=config)
    assert outcome.code == 0, outcome.stderr
    assert "krait confirm wg0" in outcome.stderr


def enough(site: Site) -> str:
    """Start a first document; for how long to try a second one, to see it in force on trial."""
    began_s = time.monotonic()
    site.start(None, "alice")
    return f"{TRIAL_S + 3 * round(time.monotonic() - began_s)}s"


def test_a_first_device_that_nobody_confirms_is_taken_away(site: Site) -> None:
    site.write("alice", site.document())
    begin(site)
    site.wait("alice", "! pgrep -f '[k]rait rollback'")
    assert site.traces("alice") == ""


def test_what_is_confirmed_stays(site: Site) -> None:
    site.write("alice", site.document())
    begin(site, length="10m")
    site["alice"].succeed(["krait", "confirm", "wg0"])
    site.wait("alice", "! pgrep -f '[k]rait rollback'")
    assert site.status("alice")["enforced"]
    assert site["alice"].run(["krait", "confirm", "wg0"]).code == 1


def test_up_without_a_document_makes_nothing_permanent_that_is_on_trial(site: Site) -> None:
    alice, default = site["alice"], "/etc/krait/wg0.yaml"
    site.write("alice", site.document(), default)
    assert site.up("alice", config=default).code == 0
    site.write("alice", site.document(RULES.replace("tcp/80", "tcp/81")), OTHER)
    begin(site, OTHER, length="10m")
    again = alice.run(["krait", "up", "wg0"], timeout_s=PATIENCE_S)
    assert again.code == 0, again.stderr
    assert site.status("alice")["policy"]["document"] == default
    assert alice.run(["krait", "confirm", "wg0"]).code == 1


def test_up_without_a_document_stays_with_the_one_that_was_confirmed(site: Site) -> None:
    alice, default = site["alice"], "/etc/krait/wg0.yaml"
    site.write("alice", site.document(), default)
    assert site.up("alice", config=default).code == 0
    site.write("alice", site.document(RULES.replace("tcp/80", "tcp/81")), OTHER)
    begin(site, OTHER, length="10m")
    alice.succeed(["krait", "confirm", "wg0"])

    again = alice.run(["krait", "up", "wg0"], timeout_s=PATIENCE_S)
    assert again.code == 0, again.stderr
    assert f"{OTHER}, as last time" in again.stdout
    assert site.status("alice")["policy"]["document"] == OTHER

    alice.succeed(["mv", OTHER, THIRD])
    gone = alice.run(["krait", "up", "wg0"], timeout_s=PATIENCE_S)
    assert gone.code == 2
    assert f"cannot read {OTHER}" in gone.stderr
    assert "krait up wg0 --config FILE" in gone.stderr
    site.wait("alice", f"krait up wg0 --config {default} {' '.join(USERSPACE)}")
    assert "as last time" not in alice.succeed(["krait", "up", "wg0"])


def test_an_unconfirmed_change_gives_way_to_the_document_of_before_though_the_agent_died(
    site: Site,
) -> None:
    length = enough(site)
    old = site.status("alice")["policy"]["document"]
    site.write("alice", site.document(RULES.replace("tcp/80", "tcp/81")), OTHER)
    begin(site, OTHER, length)
    assert site.status("alice")["policy"]["document"] != old
    site["alice"].succeed("pkill -9 -f '[k]rait agent'")
    site.wait("alice", "! pgrep -f '[k]rait rollback'")
    assert site.status("alice")["policy"]["document"] == old


def test_a_trial_that_ended_while_all_were_dead_is_settled_by_the_next_agent(site: Site) -> None:
    length = enough(site)
    site.write("alice", site.document(RULES.replace("tcp/80", "tcp/81")), OTHER)
    begin(site, OTHER, length)
    site["alice"].succeed("pkill -9 -f '[k]rait rollback'; pkill -9 -f '[k]rait agent'")
    site.wait("alice", "krait status wg0 | grep 'on trial.*over'")
    agent = site["alice"].spawn(["krait", "agent", "--iface", "wg0"])
    site.wait("alice", f"krait status wg0 | grep 'document.*{CONFIG}'")
    assert "nobody confirmed" in agent.stderr


def test_a_living_agent_ends_the_trial_whose_rollback_was_killed(site: Site) -> None:
    length = enough(site)
    site.write("alice", site.document(RULES.replace("tcp/80", "tcp/81")), OTHER)
    begin(site, OTHER, length)
    agent = site["alice"].succeed("pgrep -f '[k]rait agent'")
    site["alice"].succeed("pkill -9 -f '[k]rait rollback'")
    site.wait("alice", f"krait status wg0 | grep 'document.*{CONFIG}'")
    assert site["alice"].succeed("pgrep -f '[k]rait agent'") == agent
    assert "nobody confirmed" in site["alice"].succeed("cat /var/log/krait/wg0.log")
    site.wait("alice", "krait status wg0 --json | grep '\"enforced\": true'")


def test_a_living_agent_takes_away_a_first_device_whose_rollback_was_killed(site: Site) -> None:
    site.write("alice", site.document())
    begin(site)
    site["alice"].succeed("pkill -9 -f '[k]rait rollback'")
    site["alice"].wait_until_fails("pgrep -f '[k]rait agent'", PATIENCE_S)
    assert site.traces("alice") == ""


def test_the_file_in_force_cannot_be_tried_for_it_counts_as_it_is_saved(site: Site) -> None:
    site.start(None, "alice")
    outcome = site.up("alice", "--confirm", "60s")
    assert outcome.code == 2
    assert "copy" in outcome.stderr
    assert site.status("alice")["enforced"]


def test_rollback_goes_back_at_once(site: Site) -> None:
    site.write("alice", site.document())
    begin(site, length="10m")
    site["alice"].succeed(["krait", "rollback", "wg0"])
    site["alice"].fail("ip link show wg0")
    assert site["alice"].run(["krait", "rollback", "wg0"]).code == 1


def test_a_change_that_cannot_start_leaves_an_earlier_trial_on_trial(site: Site) -> None:
    """The agent that lives now cannot be ended by the one who wants another in its place."""
    site.start(None, "alice")
    site.write("alice", site.document(RULES.replace("tcp/80", "tcp/81")), OTHER)
    begin(site, OTHER, length="10m")
    site.write("alice", site.document(RULES.replace("tcp/80", "tcp/82")), THIRD)
    outcome = site.up("alice", "--foreground", "--confirm", "10m", config=THIRD)
    assert outcome.code == 3
    assert "another agent keeps wg0" in outcome.stderr
    site["alice"].succeed(["krait", "rollback", "wg0"])
    assert site.status("alice")["policy"]["document"] == CONFIG


def test_up_again_says_that_a_trial_goes_on(site: Site) -> None:
    site.write("alice", site.document())
    begin(site, length="10m")
    outcome = site.up("alice")
    assert "up already" in outcome.stdout
    assert "krait confirm wg0" in outcome.stderr
    assert site["alice"].run(["krait", "confirm", "wg0"]).code == 0


def test_a_document_of_before_that_went_bad_is_replaced_by_the_copy_of_when_it_was_in_force(
    site: Site,
) -> None:
    site.start(None, "alice")
    site.write("alice", site.document(RULES.replace("tcp/80", "tcp/81")), OTHER)
    begin(site, OTHER, length="10m")
    site.write("alice", "nonsense: true\n")
    outcome = site["alice"].run(["krait", "rollback", "wg0"], timeout_s=PATIENCE_S)
    assert outcome.code == 0, outcome.stderr
    assert "nonsense" in outcome.stderr
    assert site.status("alice")["policy"]["document"] == "/var/lib/krait/wg0.yaml"
    assert "tcp/80" in site["alice"].succeed("cat /var/lib/krait/wg0.yaml")
    site["alice"].succeed("ip link delete wg0")  # it is kept as well
    site.wait("alice", "ip -o link show group 1802658153 up | grep wg0")
    site.write("alice", site.document())
    site.wait("alice", f"krait status wg0 | grep 'document.*{CONFIG}'")


def test_nothing_is_tried_that_there_would_be_no_way_back_from(site: Site) -> None:
    site.start(None, "alice")
    site.write("alice", site.document(RULES.replace("tcp/80", "tcp/81")), OTHER)
    site.write("alice", "nonsense: true\n")
    outcome = site.up("alice", "--confirm", "60s", config=OTHER)
    assert (outcome.code, "no way back" in outcome.stderr) == (2, True)
    assert site.status("alice")["enforced"]
