# SPDX-License-Identifier: Apache-2.0
"""What the real agent tells a service manager, by a socket that the test keeps for it."""

import signal

from krait.lab.machine import Process
from tests.netns.agent.conftest import ATTACHED, CONFIG, Agent, Node
from tests.patience import wait_until

SOCKET = "/run/notify"
_LISTEN = f"""
import socket
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind("{SOCKET}")
print("ready", flush=True)
while True:
    for line in listener.recv(4096).decode().splitlines():
        print(line, flush=True)
"""
WATCHDOG_US = 1_000_000


def test_a_service_manager_hears_of_readiness_life_and_reloading(node: Node) -> None:
    listener = node.machine.spawn(["python", "-c", _LISTEN])
    listener.wait_for_output("ready")
    node.write(node.document())
    environment = f"NOTIFY_SOCKET={SOCKET} WATCHDOG_USEC={WATCHDOG_US}"
    agent = Agent(node.machine.spawn(f"exec env {environment} krait --iface wg0 --config {CONFIG}"))
    node.agents.append(agent)
    listener.wait_for_output("READY=1\nSTATUS=wg0: revision 1 in force")
    assert set(ATTACHED) <= set(agent.events())
    assert all(kind for kind, _ in node.seats())
    wait_for_lives(listener, 3)
    node.write(node.document())
    agent.process.kill(signal.SIGHUP)
    listener.wait_for_output("RELOADING=1\nMONOTONIC_USEC=")
    wait_until(lambda: "READY=1" in listener.stdout.partition("RELOADING=1")[2])
    told = listener.stdout
    assert told.count("READY=1") == 2
    wait_for_lives(listener, told.count("WATCHDOG=1") + 2)
    assert agent.stop() == 0
    told = listener.wait_for_output("STOPPING=1")
    assert told.count("RELOADING=1") == 1
    listener.kill_all()
    node.machine.succeed(f"rm {SOCKET}")


def wait_for_lives(listener: Process, count: int) -> None:
    wait_until(lambda: listener.stdout.count("WATCHDOG=1") >= count)
