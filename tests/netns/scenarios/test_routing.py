# SPDX-License-Identifier: Apache-2.0
"""A routing daemon over wg, under policy: babeld, which says hello to a multicast group from a
link-local address, learns its neighbour's route while a rule lets it, and loses it with the rule.
"""

from ipaddress import ip_network

import pytest

from krait.common.reason import Reason
from tests.netns.agent.conftest import drops_on
from tests.netns.scenarios.conftest import Mesh
from tests.patience import wait_until
from tests.requirements import need_tools

GROUP = "ff02::1:6"
SITE = "fd99:1::/64"  # behind alice
HOST = str(ip_network(SITE)[1])
CONFIG = "/run/babeld.conf"
BABELD = f"""
interface wg0 type tunnel hello-interval 0.3 update-interval 0.6
skip-kernel-setup true
redistribute local ip {SITE} le 128
redistribute local deny
"""
HELLOS = 10

ENDS = {
    "alice": f'tags: [router], routes: [{{cidr: "{SITE}", tags: [site]}}]',
    "bob": "tags: [router]",
}
PING = "name: ping, from: router, to: [router, site], ports: icmp"
SPEAK = "name: speak, from: router, to: [router, babel], ports: udp/6696"


@pytest.fixture
def routers(pair: Mesh) -> Mesh:
    """Alice and Bob with a link-local address each, and a daemon that is yet to be started."""
    need_tools("babeld")
    for number, (name, other) in enumerate((("alice", "bob"), ("bob", "alice")), 1):
        theirs = [*pair.hosts[other], f"fe80::{3 - number}", GROUP, *([SITE] * (name == "bob"))]
        machine, key = pair[name], pair.lab.public_key(other)
        machine.succeed(
            f"wg set wg0 peer {key} allowed-ips {','.join(theirs)}"
            " && ip -6 address flush dev wg0 scope link"
            f" && ip address add fe80::{number}/64 dev wg0"
        )
        machine.write(CONFIG, BABELD)
    pair["alice"].succeed(f"ip address add {HOST}/128 dev lo")
    return pair


def document(mesh: Mesh, *rules: str, group: bool = True) -> str:
    named = f'multicast: {{babel: {{address: "{GROUP}"}}}}\n' if group else ""
    return named + mesh.document(ENDS, [*rules, PING])


def start_daemons(mesh: Mesh) -> None:
    files = ["-I", "/run/babeld.pid", "-S", "/run/babel-state", "-c", CONFIG]
    for name in ENDS:
        mesh[name].spawn(["babeld", *files])


def learned(mesh: Mesh) -> bool:
    return "via fe80::1" in mesh["bob"].succeed(f"ip -6 route show {HOST}")


def dropped(mesh: Mesh, reason: Reason) -> list[int]:
    """How many packets at each end."""
    return [drops_on(mesh.lab[name]).get(reason, 0) for name in ENDS]


def wait_until_dropped(mesh: Mesh, reason: Reason) -> None:
    """Until each end has dropped as many hellos more as tell that the daemons go on trying."""
    before = dropped(mesh, reason)

    def went_up() -> bool:
        now = dropped(mesh, reason)
        return all(a + HELLOS <= b for a, b in zip(before, now, strict=True))

    wait_until(went_up, lambda: f"{reason.label}: {before} then {dropped(mesh, reason)}")


def test_a_daemon_learns_a_route_while_a_rule_lets_it_speak(routers: Mesh) -> None:
    routers.enforce(document(routers, group=False), *ENDS)
    start_daemons(routers)
    wait_until_dropped(routers, Reason.MULTICAST)
    assert not learned(routers)

    routers.enforce(document(routers, SPEAK), *ENDS)
    wait_until(lambda: learned(routers), lambda: routers["bob"].succeed("ip -6 route"))
    routers["bob"].succeed(f"ping -6 -c 1 -W 5 {HOST}")
    for name in ENDS:
        assert routers.warden(name).passed("speak") > 0
        assert routers.warden(name).drops() == {}

    routers.enforce(document(routers), *ENDS)
    wait_until_dropped(routers, Reason.DENIED)
    wait_until(lambda: not learned(routers), lambda: routers["bob"].succeed("ip -6 route"))
    for name in ENDS:
        assert routers.warden(name).drops().keys() == {"denied"}
