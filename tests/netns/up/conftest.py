# SPDX-License-Identifier: Apache-2.0
"""Three machines that have a cable and a document, and nothing else: `krait up` does the rest.

A module's tests share the machines; `krait down` clears up after each.
"""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from krait.agent.paths import Paths
from krait.kernel.generations import Generations
from krait.lab.machine import Outcome, patient
from krait.lab.mesh import Lab
from krait.lab.namespace import NamespaceMachine

CONFIG = "/run/site/wg0.yaml"
USERSPACE = ("--userspace", "wireguard-go")  # where the kernel has none
MESH = ("10.8.0.0/24", "fd7a:6b72::/64")
NAMES = ("alice", "bob", "carol")
PATIENCE_S = patient(120.0)
RULES = """
    - {name: ping, from: "*", to: "*", ports: icmp}
    - {name: web, from: a, to: b, ports: tcp/80}
"""

_CLEAR = """
pkill -9 -f '[k]rait (agent|rollback|up)|[h]ttp.server'
for link in $(ls /sys/class/net); do
  case $link in lo|eth0) continue;; esac
  [ "$(cat /sys/class/net/$link/netdev_group)" = 1802658153 ] || ip link delete $link
done
for orders in /var/lib/krait/*.up; do
  [ -e "$orders" ] || continue
  name=${orders##*/}; name=${name%.up}
  case $name in *:*) ;; *) krait down $name >/dev/null || exit 1;; esac
done
rm -rf /run/site /etc/krait
"""


def hosts(number: int) -> tuple[str, str]:
    """The mesh addresses of the n-th machine."""
    return f"10.8.0.{number}", f"fd7a:6b72::{number:x}"


class Site:
    """The machines, their keys, and one document for all of them."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.keys: dict[tuple[str, str], str] = {}

    def __getitem__(self, name: str) -> NamespaceMachine:
        return self.lab[name]

    def nodes(self) -> dict[str, str]:
        """The fields of every node but its key."""
        return {
            name: f"tags: {name[0]}, address: [{', '.join(map(json.dumps, hosts(n)))}], "
            f'endpoint: "192.0.2.{n}:51820"'
            for n, name in enumerate(NAMES, 1)
        }

    def document(
        self,
        rules: str = RULES,
        nodes: dict[str, str] | None = None,
        mesh: str = "",
        interface: str = "wg0",
    ) -> str:
        lines = [
            f"interface: {interface}",
            f'mesh: {{cidr: ["{MESH[0]}", "{MESH[1]}"], listen_port: 51820{mesh}}}',
            "nodes:",
            *(
                f'  {name}: {{public_key: "{self.key(name, interface)}", {fields}}}'
                for name, fields in (nodes or self.nodes()).items()
            ),
            f"policy:\n  rules:{rules}",
        ]
        return "\n".join(lines)

    def key(self, name: str, interface: str = "wg0") -> str:
        """A machine's public key, made where there is none yet."""
        if (name, interface) not in self.keys:
            printed = self[name].succeed(["krait", "genkey", interface])
            self.keys[name, interface] = printed.split()[-1]
        return self.keys[name, interface]

    def write(self, name: str, text: str, path: str = CONFIG) -> None:
        """Put a document in place as careful tools do."""
        self[name].write(f"{path}.new", text)
        self[name].succeed(["mv", f"{path}.new", path])

    def up(self, name: str, *options: str, config: str = CONFIG) -> Outcome:
        return self[name].run(
            ["krait", "up", "--config", config, *USERSPACE, *options], timeout_s=PATIENCE_S
        )

    def refused(self, name: str, code: int, *options: str, config: str = CONFIG) -> str:
        """What `krait up` says that must fail so, and leave nothing behind."""
        outcome = self.up(name, *options, config=config)
        assert outcome.code == code, outcome.stderr
        assert self.traces(name) == ""
        return outcome.stderr

    def start(self, text: str | None = None, *names: str) -> None:
        """`krait up` on machines, all if none is named; it must succeed."""
        text = text or self.document()
        begun = []
        for name in names or NAMES:
            self.write(name, text)
            begun.append(self[name].spawn(["krait", "up", "--config", CONFIG, *USERSPACE]))
        for each in begun:
            assert each.wait(PATIENCE_S) == 0, each.stderr

    def ping(self, name: str, *to: str) -> None:
        """Addresses answer; of another machine, if it is named, both."""
        for each in to:
            for host in hosts(NAMES.index(each) + 1) if each in NAMES else (each,):
                self[name].wait_until_succeeds(["ping", "-c", "1", "-W", "1", host], PATIENCE_S)

    def wait(self, name: str, command: str) -> str:
        """Until it succeeds, for as long as a loaded machine may need."""
        return self[name].wait_until_succeeds(command, PATIENCE_S)

    def status(self, name: str, interface: str = "wg0") -> dict[str, Any]:
        told = self[name].execute(["krait", "status", interface, "--json"])[1]
        (found,) = json.loads(told)["interfaces"]
        return dict(found)

    def drops(self, name: str, interface: str = "wg0") -> dict[str, int]:
        """Packets dropped so far, by reason."""
        pins = Paths().pins_of(interface).relative_to("/")
        with closing(Generations(Path(f"/proc/{self[name].pid}/root") / pins)) as generations:
            drops = generations.open(generations.found()[-1]).drops()
        return {why.label: count.packets for why, count in drops.items()}

    def denials(self, name: str) -> int:
        return sum(count for why, count in self.drops(name).items() if "denied" in why)

    def handshaken(self, name: str, peer: str) -> bool:
        """Whether a handshake with a peer was ever completed."""
        told = self[name].succeed("wg show wg0 latest-handshakes").split()
        times = dict(zip(told[::2], told[1::2], strict=True))
        return times[self.key(peer)] != "0"

    def serve(self, name: str, address: str, port: int = 80) -> None:
        """A service on a machine."""
        self[name].spawn(["python3", "-m", "http.server", "--bind", address, str(port)])
        self[name].wait_for_open_port(port, address, PATIENCE_S)

    def traces(self, name: str) -> str:
        """What is left of Krait on a machine: devices, routes, pins, state, processes; no keys."""
        return self[name].succeed(
            "ip -o link show group 1802658153;"
            "for family in -4 -6; do ip $family route show table all proto 75;"
            "  ip $family rule | grep 'proto 75'; done;"
            "ls -d /sys/fs/bpf/krait/* /var/lib/krait/* 2>/dev/null | grep -v '[.]key$';"
            "pgrep -af '[k]rait (agent|rollback)|[w]ireguard-go'; true"
        )

    @contextmanager
    def altered(self, name: str, change: str, undo: str) -> Iterator[None]:
        """A machine that is otherwise for a while."""
        self[name].succeed(change)
        try:
            yield
        finally:
            self[name].succeed(undo)

    def clear(self) -> None:
        """Take away what a test made; keys stay. What `krait down` left behind fails the test."""
        clearing = [self[name].spawn(_CLEAR) for name in NAMES]
        for name, each in zip(NAMES, clearing, strict=True):
            assert each.wait(PATIENCE_S) == 0, each.stderr
            self[name].wait_until_fails("pgrep -f '[w]ireguard-go'")
            assert self.traces(name) == ""


@pytest.fixture(scope="module")
def machines() -> Iterator[Site]:
    with Lab() as lab:
        for name in NAMES:
            lab.add(name, on_underlay=True)
        yield Site(lab)


@pytest.fixture
def site(machines: Site) -> Iterator[Site]:
    yield machines
    machines.clear()
