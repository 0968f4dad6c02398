# SPDX-License-Identifier: Apache-2.0
"""Three machines that have a cable and a document, and nothing else: `krait up` does the rest."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from krait.agent.paths import Paths
from krait.kernel.generations import Generations
from krait.lab.machine import TIMEOUT_S, Outcome
from krait.lab.mesh import Lab
from krait.lab.namespace import NamespaceMachine

CONFIG = "/run/site/wg0.yaml"
USERSPACE = ("--userspace", "wireguard-go")  # where the kernel has none
MESH = ("10.8.0.0/24", "fd7a:6b72::/64")
NAMES = ("alice", "bob", "carol")
RULES = """
    - {name: ping, from: "*", to: "*", ports: icmp}
    - {name: web, from: a, to: b, ports: tcp/80}
"""


def hosts(number: int) -> tuple[str, str]:
    """The mesh addresses of the n-th machine."""
    return f"10.8.0.{number}", f"fd7a:6b72::{number:x}"


class Site:
    """The machines, their keys, and one document for all of them."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.keys: dict[str, str] = {}

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
        self, rules: str = RULES, nodes: dict[str, str] | None = None, mesh: str = ""
    ) -> str:
        lines = [
            "interface: wg0",
            f'mesh: {{cidr: ["{MESH[0]}", "{MESH[1]}"], listen_port: 51820{mesh}}}',
            "nodes:",
            *(
                f'  {name}: {{public_key: "{self.key(name)}", {fields}}}'
                for name, fields in (nodes or self.nodes()).items()
            ),
            f"policy:\n  rules:{rules}",
        ]
        return "\n".join(lines)

    def key(self, name: str) -> str:
        """A machine's public key, made where there is none yet."""
        if name not in self.keys:
            self.keys[name] = self[name].succeed(["krait", "genkey", "wg0"]).split()[-1]
        return self.keys[name]

    def write(self, name: str, text: str, path: str = CONFIG) -> None:
        """Put a document in place as careful tools do."""
        self[name].write(f"{path}.new", text)
        self[name].succeed(["mv", f"{path}.new", path])

    def up(self, name: str, *options: str, config: str = CONFIG) -> Outcome:
        return self[name].run(
            ["krait", "up", "--config", config, *USERSPACE, *options], timeout_s=4 * TIMEOUT_S
        )

    def start(self, text: str | None = None, *names: str) -> None:
        """`krait up` on machines, all if none is named; it must succeed."""
        for name in names or NAMES:
            self.write(name, text or self.document())
            outcome = self.up(name)
            assert outcome.code == 0, outcome.stderr

    def ping(self, name: str, to: str) -> None:
        """Both addresses of another machine answer."""
        for host in hosts(NAMES.index(to) + 1):
            self[name].wait_until_succeeds(["ping", "-c", "1", "-W", "1", host])

    def status(self, name: str) -> dict[str, Any]:
        (found,) = json.loads(self[name].succeed("krait status wg0 --json"))["interfaces"]
        return dict(found)

    def drops(self, name: str) -> dict[str, int]:
        """Packets dropped so far, by reason."""
        pins = Paths().pins_of("wg0").relative_to("/")
        with closing(Generations(Path(f"/proc/{self[name].pid}/root") / pins)) as generations:
            drops = generations.open(generations.found()[-1]).drops()
        return {why.label: count.packets for why, count in drops.items()}

    def traces(self, name: str) -> str:
        """What is left of Krait on a machine: device, routes, pins, state, processes."""
        return self[name].succeed(
            "ip -o link show wg0 2>/dev/null; ip route show proto 75; ip -6 route show proto 75;"
            "ls -d /sys/fs/bpf/krait/* /var/lib/krait/* 2>/dev/null | grep -v '\\.key$';"
            "pgrep -af '[k]rait agent|[w]ireguard-go'; true"
        )


@pytest.fixture
def site() -> Iterator[Site]:
    with Lab() as lab:
        for name in NAMES:
            lab.add(name, on_underlay=True)
        yield Site(lab)
