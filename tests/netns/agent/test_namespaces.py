# SPDX-License-Identifier: Apache-2.0
"""Network namespaces of one machine, which share its mounts: folders, pins, and a device's name."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from krait.agent.steps import Attach
from krait.kernel.bpf.link import TcxLink
from krait.kernel.filter import supported_kind
from krait.kernel.hook import Hook
from krait.kernel.seat import AttachKind
from krait.lab.machine import TIMEOUT_S, Outcome, Process
from krait.lab.mesh import Lab
from krait.lab.namespace import NamespaceMachine
from krait.lab.traffic import SILENCE_S
from krait.lab.tunnel import CONFINED, is_served
from tests.netns.agent.conftest import Agent
from tests.patience import wait_until
from tests.requirements import cannot_run

# A userspace WireGuard's socket goes by the device's name alone (krait.kernel.wireguard.userspace).
# So each namespace sees a folder of its own there; all else they share.
_OWN_SOCKETS = 'mount --bind "/run/wireguard.$0" /run/wireguard && exec "$@"'
_HOSTS = {"blue": 1, "green": 2}


class Space:
    """A network namespace inside a machine, with a wg0."""

    def __init__(self, machine: NamespaceMachine, name: str, enter: Sequence[str]) -> None:
        self.machine, self.name = machine, name
        self.processes: list[Process] = []  # what it lives by
        machine.succeed(f"mkdir -p /run/wireguard /run/wireguard.{name}")
        self.prefix = [*enter, "unshare", "--mount", "sh", "-c", _OWN_SOCKETS, name]

    def run(self, *command: str, stdin: str = "") -> Outcome:
        return self.machine.run([*self.prefix, *command], stdin=stdin)

    def succeed(self, *command: str, stdin: str = "") -> str:
        return self.machine.succeed([*self.prefix, *command], stdin=stdin)

    def make_wireguard(self) -> str:
        """A wg0 with a key; its public one."""
        if self.run("ip", "link", "add", "wg0", "type", "wireguard").code:
            daemon = [*CONFINED, "wireguard-go", "-f", "wg0"]
            self.processes.append(self.machine.spawn([*self.prefix, *daemon]))
            self.machine.wait_until_succeeds([*self.prefix, *is_served("wg0")])
        key = self.succeed("wg", "genkey")
        self.succeed(
            "wg", "set", "wg0", "listen-port", "51820", "private-key", "/dev/stdin", stdin=key
        )
        return self.succeed("wg", "show", "wg0", "public-key").strip()

    def end(self) -> None:
        """Returns when nothing runs in it: the kernel takes its devices away a moment later."""
        for process in self.processes:
            process.kill_all()
            process.wait()

    def spawn(self, config: str) -> Agent:
        command = ["krait", "--iface", "wg0", *(["--config", config] if config else [])]
        return Agent(self.machine.spawn([*self.prefix, *command]))

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("krait", "status", "--json").stdout)
        return found

    def reaches(self, address: str, port: int, within_s: float = TIMEOUT_S / 2) -> bool:
        """Whether TCP gets through to where nothing listens: a refusal is an answer."""
        script = f"timeout {within_s} bash -c 'exec 3<>/dev/tcp/{address}/{port}'"
        return "refused" in self.run("sh", "-c", script).stderr


@pytest.fixture
def machine() -> Iterator[NamespaceMachine]:
    with Lab() as lab:
        yield lab.add("host")


def document(keys: dict[str, str], *ports: int) -> str:
    nodes = "".join(
        f'  {name}: {{public_key: "{key}", tags: [mesh], address: 10.8.0.{_HOSTS[name]}}}\n'
        for name, key in keys.items()
    )
    allowed = ", ".join(f"tcp/{port}" for port in ports)
    return (
        f"mesh: {{cidr: 10.8.0.0/24}}\nnodes:\n{nodes}policy:\n  rules:\n"
        f'    - {{name: few, from: "*", to: "*", ports: [icmp, {allowed}]}}\n'
    )


def test_interfaces_of_one_name_in_named_namespaces_have_each_their_own_policy(
    machine: NamespaceMachine,
) -> None:
    for name in _HOSTS:
        machine.succeed(f"ip netns add {name}")
    machine.succeed("ip link add blue netns blue type veth peer name green netns green")
    spaces = {n: Space(machine, n, ["nsenter", f"--net=/run/netns/{n}"]) for n in _HOSTS}
    blue, green = spaces.values()
    keys = {name: space.make_wireguard() for name, space in spaces.items()}
    for name, space in spaces.items():
        number, (other,) = _HOSTS[name], _HOSTS.keys() - {name}
        endpoint = f"192.0.2.{_HOSTS[other]}:51820"
        peer = [keys[other], "endpoint", endpoint, "allowed-ips", f"10.8.0.{_HOSTS[other]}"]
        space.succeed("wg", "set", "wg0", "peer", *peer)
        space.succeed(
            "sh",
            "-c",
            f"ip address add 192.0.2.{number}/24 dev {name} && ip link set {name} up"
            f" && ip address add 10.8.0.{number}/24 dev wg0 && ip link set wg0 up",
        )
    blue.succeed("ping", "-c1", "-W20", "10.8.0.2")

    machine.write("/etc/krait/wg0.yaml", document(keys, 80, 81))
    machine.write("/etc/krait/green:wg0.yaml", document(keys, 81, 82))
    for space in spaces.values():
        agent = space.spawn("")
        for hook in Hook:
            agent.wait_for(str(Attach(hook)))
        agent.wait_for("commit /etc")
    assert blue.reaches("10.8.0.2", 81)
    assert not blue.reaches("10.8.0.2", 80, SILENCE_S)
    assert not blue.reaches("10.8.0.2", 82, SILENCE_S)
    (seen,) = green.status()["interfaces"]
    assert (seen["interface"], seen["namespace"]) == ("wg0", "green")
    assert seen["policy"]["document"] == "/etc/krait/green:wg0.yaml"
    assert seen["drops"]["denied"]["packets"] >= 1
    assert green.status()["elsewhere"] == [{"namespace": "blue", "interface": "wg0"}]
    outside = machine.run(["krait", "status"]).stdout
    assert "wg0: in network namespace blue" in outside
    assert machine.succeed("ls /sys/fs/bpf/krait").split() == ["blue:wg0", "green:wg0"]

    machine.succeed("kill $(cat /run/krait/blue:wg0.lock)")
    machine.wait_until_fails(["test", "-e", "/run/krait/blue:wg0.json"])
    assert "wg0 IS NOT PROTECTED" in blue.run("krait", "detach", "wg0").stderr
    assert machine.succeed("ls /sys/fs/bpf/krait").split() == ["green:wg0"]
    assert all(blue.reaches("10.8.0.2", port) for port in (81, 82))
    assert not blue.reaches("10.8.0.2", 80, SILENCE_S)
    (seen,) = green.status()["interfaces"]
    assert seen["enforced"]
    assert seen["agent"]["pid"]
    machine.succeed("kill $(cat /run/krait/green:wg0.lock)")
    machine.wait_until_fails(["test", "-e", "/run/krait/green:wg0.json"])
    green.succeed("krait", "detach", "wg0")
    machine.succeed("ip netns delete blue; ip netns delete green")
    machine.succeed(["sh", "-c", "rm -r /etc/krait"])


def nameless(machine: NamespaceMachine, name: str) -> tuple[Space, str]:
    """A network namespace that lives by one process; its wg0 is alone, under Krait or not yet."""
    holder = machine.spawn(
        ["unshare", "--net", "sh", "-c", f"echo $$ >/run/{name}; exec sleep inf"]
    )
    machine.wait_until_succeeds(["test", "-s", f"/run/{name}"])
    pid = machine.succeed(["cat", f"/run/{name}"]).strip()
    space = Space(machine, name, ["nsenter", f"--net=/proc/{pid}/ns/net"])
    space.processes.append(holder)
    space.succeed("ip", "link", "set", "lo", "up")
    key = space.make_wireguard()
    machine.write(f"/run/{name}.yaml", document({"blue": key}, 80))
    return space, pid


def wait_until_severed(machine: NamespaceMachine) -> None:
    pins = Path(f"/proc/{machine.pid}/root/sys/fs/bpf/krait/wg0")
    for hook in Hook:
        with TcxLink.open_pinned(pins / f"link_{hook.value}") as link:
            wait_until(lambda: link.info().severed)


def test_namespaces_without_a_name_do_not_destroy_each_others_policy(
    machine: NamespaceMachine,
) -> None:
    if supported_kind() is not AttachKind.TCX:
        cannot_run("only a TCX link can be seen from another network namespace: Linux 6.6")
    first, _ = nameless(machine, "first")
    second, second_pid = nameless(machine, "second")
    agent = first.spawn("/run/first.yaml")
    agent.wait_for("commit /run")
    agent.wait_for(str(Attach(Hook.EGRESS)))
    pins = machine.succeed("find /sys/fs/bpf/krait").split()

    refused = second.run("krait", "--iface", "wg0", "--config", "/run/second.yaml")
    assert refused.code == 3
    assert "wg0 of another network namespace is under Krait here" in refused.stderr
    agent.process.kill()
    agent.process.wait()
    for command in ("--iface wg0 --config /run/second.yaml", "detach wg0"):
        refused = second.run("krait", *command.split())
        assert refused.code == 3
        assert "ip netns attach" in refused.stderr
    assert machine.succeed("find /sys/fs/bpf/krait").split() == pins
    assert second.status() == {
        "interfaces": [],
        "elsewhere": [{"namespace": "", "interface": "wg0"}],
    }
    alone = json.loads(second.run("krait", "status", "wg0", "--json").stdout)["interfaces"][0]
    assert (alone["condition"], alone["policy"]["revision"]) == ("not enforcing", 0)

    machine.succeed(f"ip netns attach two {second_pid}")
    beside = second.spawn("/run/second.yaml")
    beside.wait_for("commit /run")
    assert machine.succeed("ls /sys/fs/bpf/krait").split() == ["two:wg0", "wg0"]
    machine.succeed("ip netns delete two")
    (still,) = second.status()["interfaces"]
    assert (still["namespace"], still["enforced"]) == ("two", True)
    beside.process.kill()
    beside.process.wait()
    second.succeed("krait", "detach", "wg0")
    assert first.status()["interfaces"][0]["enforced"]

    first.end()
    wait_until_severed(machine)
    heir = second.spawn("/run/second.yaml")
    heir.wait_for("commit /run")
    heir.wait_for(str(Attach(Hook.EGRESS)))
    (found,) = second.status()["interfaces"]
    assert found["enforced"]
    assert found["policy"]["document"] == "/run/second.yaml"
    assert machine.succeed("ls /sys/fs/bpf/krait").split() == ["wg0"]
    heir.stop()
    second.succeed("krait", "detach", "wg0")
