# SPDX-License-Identifier: Apache-2.0
"""Three machines in a WireGuard mesh, a document for one of them, and the agent on it.

`alice` and `carol` talk to `bob`, who runs Krait. All that a test made on bob is taken off again
after it, so that one lab serves all tests.
"""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from krait.agent.paths import Paths
from krait.agent.steps import Attach
from krait.common.reason import Reason
from krait.kernel.generations import Generations
from krait.kernel.hook import Hook
from krait.kernel.seat import AttachKind
from krait.lab.cable import address_added
from krait.lab.machine import TIMEOUT_S, CommandFailed, Process, unhurried
from krait.lab.mesh import Lab, full_mesh
from krait.lab.namespace import NamespaceMachine
from krait.lab.traffic import Protocol, Target, ask
from krait.lab.tunnel import make_interface
from tests.patience import PATIENCE_S, wait_until
from tests.requirements import KINDS

CONFIG = "/run/wg/wg0.yaml"
OPEN_TCP, OPEN_UDP, SHUT = 80, 53, 81
_LOOK_S = unhurried(0.01, 0.5)
BOB = "10.8.0.2"
ATTACHED = [str(Attach(hook)) for hook in Hook]
SILENCE_S = 0.3  # a probe in vain; that it dropped, the counters say

RULES = """
    - {name: ping, from: "*", to: "*", ports: icmp}
    - {name: web, from: a, to: b, ports: [tcp/80, udp/53]}
"""

_SEATS = """
import json
from krait.agent.inspect import inspect
from krait.agent.paths import Paths
seats = [seat for each in inspect("wg0", Paths()).seats.values() for seat in each]
print(json.dumps([(seat.kind.value, seat.ahead) for seat in seats]))
"""


def drops_on(machine: NamespaceMachine) -> dict[Reason, int]:
    """Packets that wg0 of a machine dropped so far: read from outside, since tests ask often."""
    pins = Paths().pins_of("wg0").relative_to("/")
    with closing(Generations(Path(f"/proc/{machine.pid}/root") / pins)) as generations:
        drops = generations.open(generations.found()[-1]).drops()
    return {reason: count.packets for reason, count in drops.items()}


class Agent:
    """`krait --iface wg0` on a machine, and its log."""

    def __init__(self, process: Process) -> None:
        self.process = process

    def log(self) -> list[dict[str, Any]]:
        lines = self.process.stderr.splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def events(self) -> list[str]:
        return [str(each["event"]) for each in self.log()]

    def wait_for(self, event: str, *, after: int = 0) -> dict[str, Any]:
        """The first line after so many whose event begins like this."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            running = self.process.is_running() and time.monotonic() < deadline_s
            for line in self.log()[after:]:
                if line["event"].startswith(event):
                    return line
            if not running:
                raise CommandFailed(f"no {event!r} in the log", stderr=self.process.stderr)
            time.sleep(_LOOK_S)

    def mark(self) -> int:
        """How many lines there are, for `wait_for(after=…)`."""
        return len(self.log())

    def stop(self) -> int:
        self.process.kill(signal.SIGTERM)
        return self.process.wait()


class Node:
    """The machine with the agent."""

    def __init__(self, lab: Lab, kind: AttachKind) -> None:
        self.lab, self.machine, self.kind = lab, lab["bob"], kind
        self.agents: list[Agent] = []
        self._configuration = ""

    def document(self, rules: str = RULES, *, more: str = "") -> str:
        """Tags a, b and c for alice, bob and carol; `more` are further nodes."""
        nodes = "".join(
            f'  {name}: {{public_key: "{self.lab.public_key(name)}", tags: [{name[0]}]}}\n'
            for name in ("alice", "bob", "carol")
        )
        return f"nodes:\n{nodes}{more}policy:\n  rules:{rules}"

    def write(self, text: str) -> None:
        """Put a document in place as careful tools do."""
        self.machine.write(f"{CONFIG}.new", text)
        self.machine.succeed(["mv", f"{CONFIG}.new", CONFIG])

    def spawn(self, *options: str) -> Agent:
        return self.spawn_on("wg0", CONFIG, "--attach", self.kind.value, *options)

    def spawn_on(self, interface: str, config: str, *options: str) -> Agent:
        command = ["krait", "--iface", interface, "--config", config]
        self.agents.append(Agent(self.machine.spawn([*command, *options])))
        return self.agents[-1]

    def start(self, text: str | None = None) -> Agent:
        """An agent whose policy is in force on both hooks."""
        self.write(text or self.document())
        agent = self.spawn()
        for event in ATTACHED:
            agent.wait_for(event)
        return agent

    def drops(self) -> dict[str, int]:
        """Dropped packets by the label of their reason."""
        return {reason.label: count for reason, count in drops_on(self.machine).items()}

    def live(self) -> dict[str, Any]:
        """What the agent says of itself."""
        found: dict[str, Any] = json.loads(self.machine.succeed(["cat", "/run/krait/wg0.json"]))
        return found

    def wait_for_faults(self, count: int) -> None:
        """Until the agent says that so many things are wrong."""
        script = 'test "$(grep -o since_s /run/krait/wg0.json | wc -l)" = "$0"'
        self.machine.wait_until_succeeds(["sh", "-c", script, str(count + 1)])  # and its own

    def seats(self) -> list[tuple[str, list[str]]]:
        """Of each hook, how Krait is attached and who is ahead of it."""
        found = json.loads(self.machine.succeed(["python", "-c", _SEATS]))
        return [(kind, ahead) for kind, ahead in found]

    def passes(self, *ports: int, sender: str = "alice") -> bool:
        """Whether TCP gets to each port of bob, where nothing listens and so it is refused."""
        return self._ask(ports, sender, TIMEOUT_S) == {"refused"}

    def is_silent_at(self, *ports: int, sender: str = "alice") -> bool:
        """Whether TCP to each port of bob gets no answer; for where no counter can be read."""
        return self._ask(ports, sender, SILENCE_S) == {"timeout"}

    def drops_at(self, *ports: int, sender: str = "alice") -> bool:
        """Whether TCP to each port of bob gets no answer, because bob drops it."""
        before = self._dropped()
        if self._ask(ports, sender, SILENCE_S) != {"timeout"}:
            return False
        wait_until(lambda: self._dropped() >= before + len(ports))
        return True

    def _ask(self, ports: tuple[int, ...], sender: str, timeout_s: float) -> set[str]:
        targets = [Target(Protocol.TCP, BOB, port) for port in ports]
        answers = ask({self.lab[sender]: targets}, timeout_s)[self.lab[sender]]
        return {each.answer for each in answers}

    def _dropped(self) -> int:
        # A kernel sends it of its own accord.
        unasked = (Reason.MULTICAST, Reason.LINK_LOCAL, Reason.REDIRECT)
        return sum(count for why, count in drops_on(self.machine).items() if why not in unasked)

    def unplug(self) -> None:
        """Delete wg0, whichever way it was made."""
        self._configuration = self.machine.succeed(["wg", "showconf", "wg0"])
        self._delete()

    def _delete(self) -> None:
        self.machine.execute(["ip", "link", "delete", "wg0"])
        # As it ends, wireguard-go unlinks the socket by its name, be it already the next one's.
        self.machine.wait_until_fails(["test", "-e", "/run/wireguard/wg0.sock"])
        self.machine.wait_until_fails(["pgrep", "--full", "^wireguard-go .*wg0$"])

    def plug(self) -> None:
        """Make it again as it was before `unplug`, by the public tools."""
        make_interface(self.machine, "wg0")
        self.machine.succeed(["wg", "setconf", "wg0", "/dev/stdin"], stdin=self._configuration)
        addresses = " && ".join(
            f"ip {address_added(str(address), 'wg0')}"
            for address in self.lab.nodes["bob"].addresses
        )
        self.machine.succeed(f"{addresses} && ip link set wg0 up")

    def greet(self) -> None:
        """Begin new sessions from bob's side: his peers would talk into the old ones for 15 s."""
        peers = (self.lab.nodes[name] for name in ("alice", "carol"))
        targets = [Target(Protocol.ICMP, host) for peer in peers for host in peer.hosts]
        assert all(answer.ok for answer in ask({self.machine: targets})[self.machine])

    def clean(self) -> None:
        for agent in self.agents:
            agent.process.kill_all()
        is_down = self.machine.execute("ip link show up dev wg0 | grep -q wg0")[0] != 0
        if is_down and not self._configuration:  # a test that failed: the next one meets it whole
            self._configuration = self.machine.succeed("wg showconf wg0")
        if self._configuration:
            if is_down or self.machine.execute("ip address show wg0 | grep -q inet")[0]:
                self._delete()
                self.plug()
            self.machine.succeed(["krait", "detach", "wg0"])
            self.greet()
        self.machine.succeed(
            "krait detach wg0; rm -rf /run/wg /run/krait /var/lib/krait/* /sys/fs/bpf/stranger*"
        )


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    with Lab(full_mesh("alice", "bob", "carol")) as mesh:
        yield mesh


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> AttachKind:
    """The kernel's best, unless a test is parametrized with `BOTH_KINDS`."""
    return getattr(request, "param", KINDS[0])


BOTH_KINDS = pytest.mark.parametrize(
    "kind", KINDS, indirect=True, ids=[each.value for each in KINDS]
)


@pytest.fixture
def node(lab: Lab, kind: AttachKind) -> Iterator[Node]:
    found = Node(lab, kind)
    yield found
    found.clean()
