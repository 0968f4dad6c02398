# SPDX-License-Identifier: Apache-2.0
"""What is printed: for programs, in 80 columns on a terminal, and in the foreground."""

import json
import signal
from typing import Any

import pytest

from tests.netns.up.conftest import CONFIG, PATIENCE_S, RULES, USERSPACE, Site, hosts

OTHER = "/run/site/other.yaml"


def told(site: Site, *command: str) -> dict[str, Any]:
    """The JSON of a verb that says yes."""
    found = json.loads(site["alice"].succeed(["krait", *command, "--json"], timeout_s=PATIENCE_S))
    assert isinstance(found, dict)
    return found


def test_programs_are_told_by_keys(site: Site) -> None:
    site.write("alice", site.document())
    up = told(site, "up", "--config", CONFIG, *USERSPACE)
    assert up == {
        "interface": "wg0",
        "node": "alice",
        "addresses": [*hosts(1)],
        "peers": 2,
        "config": CONFIG,
        "was_up": False,
        "confirm_within_s": None,
        "warnings": [],
    }
    assert told(site, "up", "--config", CONFIG, *USERSPACE) == {**up, "was_up": True}
    site.write("alice", site.document(RULES.replace("tcp/80", "tcp/81")), OTHER)
    tried = told(site, "up", "--config", OTHER, *USERSPACE, "--confirm", "10m")
    assert 0 < tried["confirm_within_s"] <= 600
    trial = site.status("alice")["trial"]
    assert 0 < trial.pop("left_s") <= 600
    assert trial == {"before": CONFIG}
    assert told(site, "rollback", "wg0") == {"interface": "wg0", "rolled_back": True}
    assert site.status("alice")["made"]["document"] == CONFIG
    assert told(site, "up", "--config", OTHER, *USERSPACE, "--confirm", "10m")
    assert told(site, "confirm", "wg0") == {"interface": "wg0", "confirmed": True}
    gone = {"interface": "wg0", "device": True, "routes": 2, "policy": True}
    assert told(site, "down", "wg0") == gone
    refused = site["alice"].run(["krait", "up", "--config", "/none", "--json"])
    assert json.loads(refused.stdout)["ok"] is False


def test_a_terminal_of_80_columns_is_enough(site: Site) -> None:
    site.write("alice", site.document())
    arguments = f"--config {CONFIG} {' '.join(USERSPACE)} --confirm 10m"
    for verb in (f"up {arguments}", "status wg0", "confirm wg0", "doctor wg0", "down wg0"):
        shown = site["alice"].run(
            ["script", "-qec", f"stty cols 80; krait {verb}", "/dev/null"], timeout_s=PATIENCE_S
        )
        lines = shown.stdout.replace("\x1b", "\0").splitlines()
        plain = [_plain(each) for each in lines]
        assert plain
        assert [each for each in plain if len(each) > 80] == [], verb


def _plain(line: str) -> str:
    """Without what colours it."""
    first, *others = line.split("\0[")
    return first + "".join(each.partition("m")[2] for each in others)


def test_nobody_who_listens_is_no_reason_to_take_it_away(site: Site) -> None:
    site.write("alice", site.document())
    arguments = f"--config {CONFIG} {' '.join(USERSPACE)}"
    site["alice"].run(["bash", "-c", f"krait up {arguments} >/dev/full"], timeout_s=PATIENCE_S)
    assert site.status("alice")["enforced"]
    assert site.status("alice")["made"]["document"] == CONFIG


def test_in_the_foreground_it_is_the_agent_until_it_is_told_to_end(site: Site) -> None:
    site.write("alice", site.document())
    agent = site["alice"].spawn(["krait", "up", "--config", CONFIG, *USERSPACE, "--foreground"])
    site.wait("alice", "krait status wg0 | grep enforcing")
    site.start(None, "bob")
    site.ping("alice", "bob")
    agent.kill(signal.SIGTERM)
    assert agent.wait(PATIENCE_S) == 0
    site.ping("alice", "bob")
    assert site.status("alice")["agent"]["pid"] is None
    assert site.up("alice").code == 0  # and there is one again


def test_a_start_in_the_foreground_that_fails_leaves_nothing_behind(site: Site) -> None:
    site.write("alice", site.document())
    site["alice"].write("/run/site/program", "#!/bin/sh\nexit 1")
    outcome = site["alice"].run(
        ["krait", "up", "--config", CONFIG, "--userspace", "/run/site/program", "--foreground"]
    )
    if outcome.code:  # the kernel has no WireGuard of its own
        assert outcome.code == 3
        assert site.traces("alice") == ""


def test_what_krait_made_has_a_document_and_init_says_which(site: Site) -> None:
    site.start(None, "alice")
    outcome = site["alice"].run(["krait", "init", "wg0"])
    assert (outcome.code, outcome.stdout) == (2, "")
    assert f"from {CONFIG}" in outcome.stderr


def test_the_doctor_knows_who_made_it_and_how_to_have_it_kept_again(site: Site) -> None:
    site.start(None, "alice")
    assert f"by `krait up`, from {CONFIG}" in site["alice"].succeed("krait doctor wg0")
    site["alice"].succeed("pkill -9 -f '[k]rait agent'")
    said = " ".join(site["alice"].succeed("krait doctor wg0").split())
    assert f"hint: krait up wg0 --config {CONFIG} --userspace wireguard-go" in said


NAMED = r"""
ip link add name d0 type veth peer name d1
name="$(printf '{}')"
ip link set d0 name "$name"
ip addr add 10.20.0.77/24 dev "$name"
ip link set "$name" up; ip link set d1 up
"""


@pytest.mark.parametrize("name", [r"a\033[31mX\007", r"b\377\376c"], ids=["escape", "no text"])
def test_no_name_of_an_interface_reaches_a_terminal_as_it_is(site: Site, name: str) -> None:
    """Linux forbids but `/`, `:` and white space in one, and anybody with a container gives one."""
    nodes = site.nodes()
    nodes["bob"] += ", routes: [{cidr: 10.20.0.0/24, tags: [lan]}]"
    text = site.document(nodes=nodes).replace("policy:\n", "policy:\n  guard: true\n")
    shown = NAMED.format(name)
    with site.altered("alice", shown, "ip link delete d1"):
        site.write("alice", text)
        outcome = site.up("alice")
        said = [outcome.stdout + outcome.stderr]
        assert "10.20.0.0/24" in outcome.stderr
        for command in ("status wg0", "doctor wg0", "status wg0 --json", "doctor wg0 --json"):
            ran = site["alice"].run(f"PYTHONIOENCODING=utf-8:strict krait {command}")
            said.append(ran.stdout + ran.stderr)
            if "json" in command:
                assert isinstance(json.loads(ran.stdout), dict)
        assert not [each for each in said if "\x1b" in each or "Traceback" in each]
