# SPDX-License-Identifier: Apache-2.0
"""What the machine underneath has to say: its MTU, its ports, its IPv6, its kernel."""

import json

from tests.netns.up.conftest import CONFIG, MESH, Site, hosts

LISTEN = """
import socket, time
taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
taken.bind(("0.0.0.0", {port}))
print("there", flush=True)
time.sleep(999)
"""
V6 = "echo {0} >/proc/sys/net/ipv6/conf/default/disable_ipv6"


def mtu(site: Site, name: str) -> int:
    (link,) = json.loads(site[name].succeed("ip -j link show wg0"))
    return int(link["mtu"])


def test_the_mtu_is_what_the_underlay_leaves(site: Site) -> None:
    site.start(None, "bob")
    assert mtu(site, "bob") == 1420
    with site.altered("alice", "ip link set eth0 mtu 1400", "ip link set eth0 mtu 1500"):
        site.start(None, "alice")
        assert mtu(site, "alice") == 1320
        site.ping("alice", "bob")


def test_a_port_that_somebody_has_is_told_and_nothing_is_left_behind(site: Site) -> None:
    other = site["alice"].spawn(["python3", "-c", LISTEN.format(port=51820)])
    other.wait_for_output("there")
    site.write("alice", site.document())
    try:
        said = site.refused("alice", 3)
    finally:
        other.kill()
    assert "UDP port 51820 is in use" in said
    assert "listen_port" in said
    assert site.up("alice").code == 0


def test_a_saved_port_that_somebody_has_is_told_and_taken_once_it_is_free(site: Site) -> None:
    site.start(None, "alice")
    other = site["alice"].spawn(["python3", "-c", LISTEN.format(port=51900)])
    other.wait_for_output("there")
    try:
        nodes = site.nodes()
        del nodes["carol"]
        text = site.document(nodes=nodes).replace("listen_port: 51820", "listen_port: 51900")
        site.write("alice", text)
        site.wait("alice", "krait status wg0 | grep 'is in use'")
        site.wait("alice", f"! wg show wg0 peers | grep -F '{site.key('carol')}'")
        assert site["alice"].succeed("wg show wg0 listen-port").strip() == "51820"
        site.start(None, "bob")
        site.ping("alice", "bob")  # all else goes on, over the port that it has
    finally:
        other.kill()
    site.wait("alice", "wg show wg0 listen-port | grep 51900")
    site.wait("alice", "! krait status wg0 | grep 'is in use'")


def test_without_ipv6_the_mesh_is_had_over_ipv4_and_the_rest_is_said_and_fenced(
    site: Site,
) -> None:
    alice = site["alice"]
    with site.altered("alice", V6.format(1), V6.format(0)):
        site.write("alice", site.document())
        outcome = site.up("alice")
        assert outcome.code == 0, outcome.stderr
        assert "wg0 has no IPv6" in outcome.stderr
        assert "disable_ipv6=0" in outcome.stderr
        site.start(None, "bob")
        site.ping("alice", hosts(2)[0])
        site["alice"].fail(["ip", "route", "get", hosts(2)[1]])
        assert f"unreachable {MESH[1]}" in alice.succeed("ip -6 route show proto 75")
        (fault,) = site.status("alice")["agent"]["faults"]
        assert "IPv6" in fault["message"]
    alice.succeed("echo 0 >/proc/sys/net/ipv6/conf/wg0/disable_ipv6")
    site.write("alice", f"{site.document()}\n# again")  # read at once, not at the next look
    site.ping("alice", "bob")
    assert site.status("alice")["agent"]["faults"] == []


def test_the_filter_may_be_one_of_clsact(site: Site) -> None:
    site.write("alice", site.document())
    outcome = site.up("alice", "--attach", "clsact")
    assert outcome.code == 0, outcome.stderr
    hooks = site.status("alice")["hooks"]
    assert [seat["kind"] for seats in hooks.values() for seat in seats] == ["clsact", "clsact"]
    site.start(None, "bob")
    site.ping("bob", "alice")


def test_without_wireguard_in_the_kernel_the_way_out_is_named(site: Site) -> None:
    site.write("alice", site.document())
    outcome = site["alice"].run(["krait", "up", "--config", CONFIG])
    if outcome.code:
        assert outcome.code == 3
        assert "--userspace wireguard-go" in outcome.stderr
        assert site.traces("alice") == ""


def test_a_program_that_makes_no_device_leaves_nothing_behind(site: Site) -> None:
    site.write("alice", site.document())
    outcome = site["alice"].run(["krait", "up", "--config", CONFIG, "--userspace", "/bin/false"])
    if outcome.code:  # the kernel has no WireGuard of its own
        assert outcome.code == 3
        assert "made no interface wg0" in outcome.stderr
        assert site.traces("alice") == ""
