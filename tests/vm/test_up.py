# SPDX-License-Identifier: Apache-2.0
"""`krait up` where systemd is PID 1: a mesh of two machines from one document, the kernel's
WireGuard beneath, its agents units, from the first key to the last trace.

Alice runs Linux 6.1, where the filter is one of clsact, Bob 6.12, where it is one of TCX. The tests
are steps of one story, in this order. To start Python takes seconds there, so each asks for much at
once, and of both machines side by side.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from ipaddress import ip_interface
from typing import Any

import pytest

from krait.lab.machine import Command, Process
from krait.lab.mesh import Lab
from krait.lab.virtual.kernels import Kernel
from krait.lab.virtual.machine import VirtualMachine
from krait.lab.virtual.qemu import Board
from krait.lab.virtual.systemd import BOOTED, systemd
from tests.netns.up.conftest import MESH, Site, hosts
from tests.patience import wait_until
from tests.vm.bulk import BULK_PORT, throughput_mbit_s
from tests.vm.conftest import JOB_S, KIND, Figures, booted
from tests.vm.unit import FILES, UNIT

RUNS = {"alice": "6.1", "bob": "6.12"}
NUMBERS = {name: number for number, name in enumerate(RUNS, 1)}
OTHER = {"alice": "bob", "bob": "alice"}
BOB = hosts(NUMBERS["bob"])[0]
CONFIG, STATE = "/etc/krait/wg0.yaml", "/var/lib/krait"
SUBNET = "10.20.0.0/24"  # behind Bob
UNDERLAY_MTU, MTU = 1400, 1320  # WireGuard takes 80 bytes of each packet

PING = '\n    - {name: ping, from: "*", to: "*", ports: icmp}'
BULK = f"\n    - {{name: bulk, from: a, to: b, ports: tcp/{BULK_PORT}}}"

_SEEN = """
systemctl is-active krait@wg0 || exit 1
ip -json -details address show dev wg0 | tr -d '\\n'; echo
for what in latest-handshakes allowed-ips endpoints listen-port; do wg show wg0 $what; done
echo -- routes
ip route show proto 75; ip -6 route show proto 75
"""
_LEFT = f"""
systemctl show {UNIT} --property=ActiveState,Result | sort
ip -o link show group 1802658153
for family in -4 -6; do
  ip $family route show table all proto 75
  ip $family rule | grep 'proto 75'
done
find /sys/fs/bpf/krait {STATE} /run/krait -mindepth 1 ! -name '*.lock' ! -name '*.turn'
pgrep -af '[k]rait (agent|rollback)'
true
"""
_REFUSED = f"timeout 2 bash -c 'exec 3<>/dev/tcp/{BOB}/81'; test $? = 124"
"""To where nobody listens, and nobody is heard to refuse it: it is dropped."""
_LIFE = {"ActiveState": "active", "NRestarts": "1"}
_ANSWER = re.compile(r"icmp_seq=(\d+) ttl")


class Guests(Site):
    """The machines; what is asked of all is asked side by side."""

    def nodes(self) -> dict[str, str]:
        every = super().nodes()
        every["bob"] += f", routes: [{{cidr: {SUBNET}, tags: [office]}}]"
        return {name: every[name] for name in RUNS}

    def everywhere(self, command: Command) -> dict[str, str]:
        """Standard output of a command that must succeed on each machine."""
        begun = {name: self[name].spawn(command) for name in RUNS}
        for each in begun.values():
            assert each.wait(JOB_S) == 0, f"{each.command}\n{each.stdout}\n{each.stderr}"
        return {name: each.stdout for name, each in begun.items()}

    def statuses(self) -> dict[str, dict[str, Any]]:
        """What `krait status` finds on each machine, whether or not an agent lives there."""
        told = self.everywhere("krait status wg0 --json; true")
        return {name: json.loads(text)["interfaces"][0] for name, text in told.items()}

    def state(self, name: str, *properties: str) -> dict[str, str]:
        """Properties of a machine's unit."""
        asked = ",".join(properties)
        lines = self[name].succeed(["systemctl", "show", UNIT, f"--property={asked}"]).splitlines()
        return dict(line.split("=", 1) for line in lines)

    def is_in_state(self, name: str, wanted: Mapping[str, str]) -> bool:
        return self.state(name, *wanted) == wanted

    @contextmanager
    def pinging(self, name: str) -> Iterator[Process]:
        """Pings from a machine to the other one for as long as the block takes."""
        address = hosts(NUMBERS[OTHER[name]])[0]
        ping = self[name].spawn(["ping", "-n", "-O", "-i", "0.5", address])
        ping.wait_for_output("icmp_seq=")
        try:
            yield ping
        finally:
            ping.kill()


def answered(ping: Process) -> list[int]:
    """The numbers of the pings that were answered so far."""
    return [int(number) for number in _ANSWER.findall(ping.stdout)]


def wait_for_answers(ping: Process, count: int) -> None:
    """Until so many more came back."""
    before = len(answered(ping))
    wait_until(lambda: len(answered(ping)) >= before + count, lambda: ping.stdout)


@pytest.fixture(scope="module")
def site(kernels: Mapping[str, Kernel], figures: Figures) -> Iterator[Guests]:
    """Machines with a unit that nothing has started, a cable, a key, and the document."""
    machines = {
        name: VirtualMachine(
            name, kernels[series], board=Board(512), setting=systemd(files=FILES), report=figures
        )
        for name, series in RUNS.items()
    }
    with booted(machines, figures), Lab(make=machines.__getitem__) as lab:
        for name in RUNS:
            lab.add(name, on_underlay=True)
        site = Guests(lab)
        site.everywhere(BOOTED)
        site.everywhere(f"ip link set eth0 mtu {UNDERLAY_MTU}")
        printed = site.everywhere("krait genkey wg0")
        site.keys = {(name, "wg0"): text.split()[-1] for name, text in printed.items()}
        for name in RUNS:
            lab[name].write(CONFIG, site.document(PING + BULK))
        yield site


def test_up_starts_the_unit_and_says_where_it_logs_and_how_it_comes_at_boot(
    site: Guests, figures: Figures
) -> None:
    began_s = time.monotonic()
    told = site.everywhere("krait up wg0")
    figures(f"up: both are up {time.monotonic() - began_s:.1f} s after the commands began")
    for text in told.values():
        assert "wg0 is up" in text
        assert f"journalctl -u {UNIT}" in text
        assert f"systemctl enable {UNIT}" in text


def test_the_interface_is_configured_and_the_agent_is_active_as_a_unit_on_both(
    site: Guests,
) -> None:
    for name in RUNS:
        site.ping(name, OTHER[name])
    for name, told in site.everywhere(_SEEN).items():
        active, described, *shown = told.splitlines()
        assert active == "active"
        assert_configured(name, json.loads(described)[0])
        (_, handshake_s), allowed, endpoint, (port,) = (line.split() for line in shown[:4])
        key = site.keys[OTHER[name], "wg0"]
        v4, v6 = hosts(NUMBERS[OTHER[name]])
        behind = {SUBNET} if name == "alice" else set()
        assert int(handshake_s) > 0
        assert (allowed[0], set(allowed[1:])) == (key, {f"{v4}/32", f"{v6}/128"} | behind)
        assert endpoint == [key, f"192.0.2.{NUMBERS[OTHER[name]]}:51820"]
        assert port == "51820"
        routes = [line.split() for line in shown[5:]]
        through = {words[0] for words in routes if words[1:3] == ["dev", "wg0"]}
        refused = {words[1] for words in routes if words[0] == "unreachable"}
        assert (through, refused) == (behind, behind.union(MESH))


def assert_configured(name: str, link: Mapping[str, Any]) -> None:
    """Kind, group, MTU and addresses are the document's, and it is up."""
    assert link["linkinfo"]["info_kind"] == "wireguard"
    assert "UP" in link["flags"]
    assert link["mtu"] == MTU
    addresses = {str(ip_interface(each["local"]).ip) for each in link["addr_info"]}
    assert addresses == set(hosts(NUMBERS[name]))


def test_kernel_wireguard_carries_bulk_with_the_policy_on_both(
    site: Guests, figures: Figures
) -> None:
    mbit_s = throughput_mbit_s(site["alice"], site["bob"], BOB)
    figures(f"up: alice (6.1) to bob (6.12), policy on both: {mbit_s:.1f} Mbit/s of TCP")
    assert mbit_s > 0


def test_a_denied_port_drops_and_its_reasons_counter_moves(site: Guests) -> None:
    site["alice"].succeed(_REFUSED)
    found = site.statuses()
    for name, status in found.items():
        kinds = {seat["kind"] for seats in status["hooks"].values() for seat in seats}
        assert kinds == {KIND[RUNS[name]].value}
    assert found["alice"]["drops"]["denied"]["packets"] > 0
    assert "denied" not in found["bob"]["drops"]  # where a counter is that did not move


def test_an_agent_that_is_killed_comes_back_and_device_and_policy_stay_meanwhile(
    site: Guests,
) -> None:
    untouched = "cat /sys/class/net/wg0/ifindex; ls -iR /sys/fs/bpf/krait"
    before = site.everywhere(untouched)
    pids = {name: site.state(name, "MainPID") for name in RUNS}
    with site.pinging("alice") as ping:
        site.everywhere(["systemctl", "kill", "--signal", "KILL", UNIT])
        site["alice"].succeed(_REFUSED)
        for name in RUNS:
            wait_until(partial(site.is_in_state, name, _LIFE))
            assert site.state(name, "MainPID") != pids[name]
        wait_for_answers(ping, 3)
        numbers = answered(ping)
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))  # not one is missing
    assert site.everywhere(untouched) == before


def test_a_changed_document_revokes(site: Guests) -> None:
    with site.pinging("alice") as ping:
        wait_for_answers(ping, 3)
        site.write("bob", site.document(BULK), CONFIG)
        wait_until(lambda: is_unanswered(ping, 8), lambda: ping.stdout)
        site.write("bob", site.document(PING + BULK), CONFIG)
        wait_for_answers(ping, 3)


def is_unanswered(ping: Process, count: int) -> bool:
    """Whether nothing came back for the last so many."""
    last = ping.stdout.splitlines()[-count:]
    return all(line.startswith("no answer yet") for line in last)


@pytest.mark.long
def test_a_trial_that_nobody_confirms_goes_back_to_the_unit_as_it_was(site: Guests) -> None:
    alice, other = site["alice"], "/etc/krait/other.yaml"
    site.write("alice", site.document(BULK), other)
    told = alice.succeed(
        ["krait", "up", "wg0", "--config", other, "--confirm", "240s", "--json"], timeout_s=JOB_S
    )
    tried = json.loads(told)
    assert tried["config"] == other
    assert tried["confirm_within_s"] > 0  # it was up before the trial was over
    alice.wait_until_succeeds(f"test ! -e {STATE}/wg0.trial", JOB_S)
    assert json.loads(alice.succeed(["cat", f"{STATE}/wg0.up"]))["config"] == CONFIG
    (status,) = json.loads(alice.execute(["krait", "status", "wg0", "--json"])[1])["interfaces"]
    assert (status["policy"]["document"], status["enforced"]) == (CONFIG, True)
    assert site.state("alice", "ActiveState") == {"ActiveState": "active"}
    site.ping("alice", "bob")


def test_a_machine_whose_power_is_cut_makes_the_device_as_it_boots(
    site: Guests, figures: Figures
) -> None:
    alice = site["alice"]
    assert isinstance(alice, VirtualMachine)
    kept = (f"{STATE}/{each}" for each in ("wg0.key", "wg0.up", "wg0.json", "wg0.yaml"))
    secrets = {path: alice.succeed(["cat", path]) for path in (CONFIG, *kept)}
    alice.setting = replace(systemd((UNIT,), FILES), secrets=secrets)
    started_s = time.monotonic()
    site.lab.restart("alice")
    booted_s = time.monotonic() - started_s
    alice.succeed(BOOTED, timeout_s=JOB_S)
    assert site.state("alice", "ActiveState") == {"ActiveState": "active"}
    site.ping("alice", "bob")
    site.ping("bob", "alice")
    journal = alice.succeed(["journalctl", "--unit", UNIT, "--output", "cat"])
    lines = [json.loads(line) for line in journal.splitlines() if line.startswith("{")]
    stored_s = next(each["stored_ns"] for each in lines if each["event"].startswith("commit")) / 1e9
    figures(
        f"up: alice (6.1): {booted_s:.1f} s from power to the first command, a policy in force"
        f" {stored_s:.1f} s after the boot began"
    )


def test_down_stops_the_unit_and_leaves_nothing_but_the_key(site: Guests) -> None:
    site["bob"].succeed(["systemctl", "enable", UNIT])
    told = site.everywhere("krait down wg0")
    assert f"systemctl disable {UNIT}" in told["bob"]
    assert "at boot" not in told["alice"]
    for left in site.everywhere(_LEFT).values():
        assert left.splitlines() == ["ActiveState=inactive", "Result=success", f"{STATE}/wg0.key"]
