# SPDX-License-Identifier: Apache-2.0
"""Nothing for the mesh leaves but through the tunnel: whatever networks a host comes into, and
whatever its agent fails of.
"""

from collections.abc import Iterator

import pytest

from tests.netns.up.conftest import CONFIG, PATIENCE_S, Site, hosts

NARROWER = {"10.8.0.50/25": 4, "fd7a:6b72::50/96": 6}
_BOOT = """
kill -9 $(cat /run/krait/wg0.lock)
while pgrep -f '[k]rait agent' >/dev/null; do sleep 0.05; done
ip link delete wg0
while [ -e /run/wireguard/wg0.sock ]; do sleep 0.05; done
for family in -4 -6; do
  ip $family rule flush protocol 75
  ip $family route flush table all proto 75
done
rm -r /sys/fs/bpf/krait/wg0 /run/krait/*
"""
"""What a machine is like when it has started again."""


def assert_refused(site: Site, *addresses: str) -> None:
    for host in addresses:
        told = site["alice"].run(["ip", "route", "get", host])
        assert "No route to host" in told.stderr, told.stdout


@pytest.fixture
def attracted(site: Site) -> Iterator[Site]:
    """Alice comes into a network whose host, Carol, has the addresses of a peer."""
    site.start(None, "alice", "bob")
    lan = [("alice", each) for each in NARROWER]
    lan += [("carol", f"{host}/25" if ":" not in host else f"{host}/96") for host in hosts(2)]
    try:
        for name, address in lan:
            nodad = "nodad" if ":" in address else ""
            site[name].succeed(f"ip address add {address} dev eth0 {nodad}")
        yield site
    finally:
        for name, address in lan:
            site[name].succeed(f"ip address delete {address} dev eth0")


def test_a_network_with_narrower_routes_does_not_draw_the_meshs_packets(attracted: Site) -> None:
    site, alice = attracted, attracted["alice"]
    for host in hosts(2):
        assert "dev wg0" in alice.succeed(["ip", "route", "get", host])
    site.ping("alice", "bob")
    site.wait("alice", "krait status wg0 | grep 'overlaps: eth0 has'")
    alice.succeed("kill -STOP $(cat /run/krait/wg0.lock)")
    alice.succeed("ip link delete wg0")
    assert_refused(site, *hosts(2))
    alice.succeed("kill -CONT $(cat /run/krait/wg0.lock)")


def test_rules_and_routes_that_somebody_flushed_come_back(site: Site) -> None:
    site.start(None, "alice", "bob")
    alice = site["alice"]
    alice.succeed("ip rule flush protocol 75; ip -6 rule flush protocol 75")
    alice.succeed("ip route flush table 27506; ip -6 route flush table 27506")
    alice.succeed("kill -HUP $(cat /run/krait/wg0.lock)")
    for family in ("-4", "-6"):
        site.wait("alice", f"ip {family} rule | grep 'lookup 27506 proto 75'")
        site.wait("alice", f"ip {family} route show table 27506 | grep wg0")
    site.ping("alice", "bob")


@pytest.mark.parametrize("fails_of", ["port", "document", "overlap", "key"])
def test_a_start_that_fails_leaves_the_mesh_refused(site: Site, fails_of: str) -> None:
    site.start(None, "alice")
    alice = site["alice"]
    alice.succeed(_BOOT)
    change, undo = {
        "port": ("", ""),
        "document": (f"echo nonsense >{CONFIG}; rm /var/lib/krait/wg0.key", ""),
        "overlap": (
            "ip address add 10.8.0.50/25 dev eth0",
            "ip address delete 10.8.0.50/25 dev eth0",
        ),
        "key": ("mv /var/lib/krait/wg0.key /run/aside.key", ""),
    }[fails_of]
    taken = alice.spawn(["python3", "-c", _TAKE_PORT]) if fails_of == "port" else None
    if taken is not None:
        taken.wait_for_output("taken")
    alice.succeed(f"cp /var/lib/krait/wg0.key /run/aside.key; {change or 'true'}")
    try:
        outcome = alice.run(["krait", "agent", "--iface", "wg0"], timeout_s=PATIENCE_S)
        assert outcome.code != 0, outcome.stdout
        assert_refused(site, *hosts(2))
    finally:
        if taken is not None:
            taken.kill()
        alice.succeed(f"mv /run/aside.key /var/lib/krait/wg0.key; {undo or 'true'}")


_TAKE_PORT = """
import socket, time
taken = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
taken.bind(("::", 51820))
print("taken", flush=True)
time.sleep(600)
"""
