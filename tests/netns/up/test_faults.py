# SPDX-License-Identifier: Apache-2.0
"""What others do to a device that `krait up` made: renamed, moved away, another in its place."""

import pytest

from krait.kernel.seat import AttachKind
from tests.netns.agent.test_hooks import DETACH
from tests.netns.up.conftest import CONFIG, PATIENCE_S, Site, hosts
from tests.requirements import KINDS

BOTH_KINDS = pytest.mark.parametrize("kind", KINDS, ids=[each.value for each in KINDS])

_PROGRAMS = """
import sys
from socket import if_nametoindex
from krait.kernel import clsact
from krait.kernel.bpf.link import tcx_query
from krait.kernel.hook import Hook
index = if_nametoindex(sys.argv[1])
for hook in Hook:
    print(len(tcx_query(index, hook)) + sum(each.ours for each in clsact.query(index, hook)))
"""


def start(site: Site, kind: AttachKind) -> None:
    site.write("alice", site.document())
    outcome = site.up("alice", "--attach", kind.value)
    assert outcome.code == 0, outcome.stderr
    site.start(None, "bob")
    site.ping("alice", "bob")


def says(site: Site, words: str) -> None:
    """The agent, to whoever asks for its status; there, lines are wrapped."""
    site.wait("alice", f"krait status wg0 --json | tr -d '\\n' | grep '{words}'")


def programs(site: Site, device: str, *prefix: str) -> list[str]:
    """How many of Krait's programs are on each hook of a device."""
    return site["alice"].succeed([*prefix, "python", "-c", _PROGRAMS, device]).split()


def devices(site: Site) -> list[str]:
    """All that Krait made, by the mark."""
    lines = site["alice"].succeed("ip -br link show group 1802658153").splitlines()
    return [line.split()[0] for line in lines]


def assert_fenced(site: Site) -> None:
    for host in hosts(2):
        site["alice"].fail(["ip", "route", "get", host])


@BOTH_KINDS
def test_a_device_that_is_renamed_is_shut_and_no_other_is_made_beside_it(
    site: Site, kind: AttachKind
) -> None:
    start(site, kind)
    rename = "ip link set wg0 down && ip link set wg0 name old && ip link set old up"
    back = "ip link set old down && ip link set old name wg0 && ip link set wg0 up"
    with site.altered("alice", rename, back):
        says(site, "none is made beside it")
        says(site, "nothing passes there")
        assert devices(site) == ["old"]
        outcome = site["alice"].run(["krait", "down", "wg0"])
        assert (outcome.code, "give it the name wg0 back" in outcome.stderr) == (2, True)
        assert programs(site, "old") == ["1", "1"]
    site.ping("alice", "bob")
    assert site.status("alice")["enforced"]


@BOTH_KINDS
def test_a_device_that_moves_away_is_told_and_none_is_made_in_its_place(
    site: Site, kind: AttachKind
) -> None:
    start(site, kind)
    there = ("nsenter", "--net=/run/netns/away")
    with site.altered("alice", "ip netns add away", "ip netns delete away"):
        site["alice"].succeed("ip link set wg0 netns away")
        says(site, "none is made beside it")
        if kind is AttachKind.TCX:
            says(site, "with its filter: nothing passes there")
            assert site["alice"].run(["krait", "down", "wg0"]).code == 2  # bare without it
            assert programs(site, "wg0", *there) == ["1", "1"]
        else:
            says(site, "it is bare there")
            assert programs(site, "wg0", *there) == ["0", "0"]
        assert devices(site) == []
        assert_fenced(site)
        site["alice"].succeed([*there, "ip", "link", "set", "wg0", "netns", "1"])
    site.ping("alice", "bob")
    assert programs(site, "wg0") == ["1", "1"]
    assert site.status("alice")["enforced"]


@BOTH_KINDS
def test_a_device_that_another_tool_puts_in_its_place_is_refused_and_shut(
    site: Site, kind: AttachKind
) -> None:
    start(site, kind)
    alice = site["alice"]
    alice.succeed("kill -STOP $(cat /run/krait/wg0.lock)")
    alice.succeed("ip link delete wg0")
    alice.wait_until_fails(["test", "-e", "/run/wireguard/wg0.sock"])
    if alice.execute("ip link add wg0 type wireguard")[0]:
        alice.succeed("ip tuntap add dev wg0 mode tun")
    alice.succeed("ip link set wg0 up && kill -CONT $(cat /run/krait/wg0.lock)")
    says(site, "there is an interface wg0 that Krait did not make")
    assert programs(site, "wg0") == ["1", "1"]
    assert devices(site) == []
    assert site.status("alice")["condition"] == "waiting"  # nothing passes
    alice.succeed("ip link delete wg0")
    site.wait("alice", "ip -o link show group 1802658153 up | grep wg0")
    site.ping("alice", "bob")
    assert site.status("alice")["enforced"]


@BOTH_KINDS
def test_a_device_whose_filter_is_taken_off_has_it_again(site: Site, kind: AttachKind) -> None:
    start(site, kind)
    take_off = {
        AttachKind.TCX: f"python -c '{DETACH}'",
        AttachKind.CLSACT: "tc qdisc delete dev wg0 clsact",
    }
    site["alice"].succeed(take_off[kind])
    site["alice"].wait_until_succeeds(
        ["sh", "-c", 'test "$(python -c "$0" wg0 | tr -d "\\n")" = 11', _PROGRAMS], PATIENCE_S
    )
    site.ping("alice", "bob")
    assert site.status("alice")["policy"]["document"] == CONFIG


def test_a_disk_for_reading_only_holds_up_no_change_and_lets_nothing_be_begun_or_ended(
    site: Site,
) -> None:
    state = "/var/lib/krait"
    with site.altered("alice", f"mount -o remount,ro {state}", f"mount -o remount,rw {state}"):
        assert "Read-only file system" in site.refused("alice", 3)
    start(site, KINDS[0])
    nodes = site.nodes()
    del nodes["carol"]
    with site.altered("alice", f"mount -o remount,ro {state}", f"mount -o remount,rw {state}"):
        site.write("alice", site.document(nodes=nodes))
        site["alice"].wait_until_fails(f"wg show wg0 peers | grep -F '{site.key('carol')}'")
        says(site, "cannot write /var/lib/krait/wg0.json: Read-only file system")
        site.ping("alice", "bob")
        outcome = site["alice"].run(["krait", "down", "wg0"])
        assert outcome.code == 3
        assert "Read-only file system" in outcome.stderr
        assert site.status("alice")["enforced"]
    site.wait("alice", "krait status wg0 --json | tr -d '\\n' | grep '\"faults\": \\[\\]'")
