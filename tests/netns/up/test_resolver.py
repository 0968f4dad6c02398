# SPDX-License-Identifier: Apache-2.0
"""Endpoints by host name, asked of a real resolver that is away, late, or changes its mind."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.netns.up.conftest import Site

NAME = "bob.krait.invalid"
NAMESERVER = Path(__file__).with_name("nameserver.py")
RESOLVER = "printf 'nameserver 127.0.0.1\\noptions timeout:1 attempts:1\\n' >/etc/resolv.conf"
MOVED = "192.0.2.77"

# What production code has no switch for: waiting for three minutes until a session is dead.
_IMPATIENT = """
import sys
from functools import partial
from krait.agent import wiring
from krait.agent.managed import endpoints, keeper
from krait.agent.managed.sessions import Sessions
from krait.cli.main import main
wiring.Sessions = partial(Sessions, 4.0)
keeper.LOOK_S = endpoints.AGAIN_S = 1.0
sys.exit(main(sys.argv[1:]))
"""


@contextmanager
def nameserver(site: Site, address: str, delay_s: float = 0) -> Iterator[None]:
    """One on alice that knows a single name."""
    command = [sys.executable, str(NAMESERVER), NAME, address, str(delay_s)]
    process = site["alice"].spawn(command)
    try:
        process.wait_for_output("listening")
        yield
    finally:
        process.kill_all()


def document(site: Site) -> str:
    """Only alice knows where anybody is."""
    nodes = site.nodes()
    nodes["alice"] = nodes["alice"].split(", endpoint")[0]
    nodes["bob"] = nodes["bob"].replace("192.0.2.2:51820", f"{NAME}:51820")
    return site.document(nodes=nodes)


def test_a_resolver_that_is_away_and_then_late_holds_up_nothing_but_its_peer(site: Site) -> None:
    text = document(site)
    site.start(text, "bob", "carol")
    with site.altered(
        "alice", f"cp /etc/resolv.conf /run/; {RESOLVER}", "cp /run/resolv.conf /etc/resolv.conf"
    ):
        site.start(text, "alice")
        site.wait("alice", f"krait status wg0 | grep 'cannot resolve {NAME}:51820'")
        site.ping("alice", "carol")
        assert site.status("alice")["enforced"]
        with nameserver(site, "192.0.2.2", delay_s=0.5):
            site.ping("alice", "bob")
            site.wait("alice", "! krait status wg0 | grep 'cannot resolve'")


def test_a_peer_that_moves_is_found_again_by_its_name_once_its_session_is_dead(site: Site) -> None:
    text = document(site)
    site.start(text, "bob")
    with site.altered(
        "alice", f"cp /etc/resolv.conf /run/; {RESOLVER}", "cp /run/resolv.conf /etc/resolv.conf"
    ):
        with nameserver(site, "192.0.2.2"):
            site.start(text, "alice")
            site["alice"].succeed("kill $(cat /run/krait/wg0.lock)")
            site["alice"].wait_until_fails("pgrep -f '[k]rait agent'")
            impatient = [sys.executable, "-c", _IMPATIENT, "agent", "--iface", "wg0"]
            agent = site["alice"].spawn(impatient)
            site.wait("alice", "krait status wg0 --json | grep '\"enforced\": true'")
            site.ping("alice", "bob")
        moved = f"ip address del 192.0.2.2/24 dev eth0 && ip address add {MOVED}/24 dev eth0"
        back = f"ip address del {MOVED}/24 dev eth0 && ip address add 192.0.2.2/24 dev eth0"
        with site.altered("bob", moved, back), nameserver(site, MOVED):
            site.wait("alice", f"ping -c1 -W1 10.8.0.2; wg show wg0 endpoints | grep {MOVED}")
            site.ping("alice", "bob")
        agent.kill_all()
