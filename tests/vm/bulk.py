# SPDX-License-Identifier: Apache-2.0
"""How much one TCP connection between two machines carries."""

from krait.lab.machine import Machine
from tests.vm.conftest import JOB_S

BULK_PORT, BULK_MIB = 5001, 16

_SINK = f"""
import socket, time
listener = socket.create_server(("", {BULK_PORT}))
print("ready", flush=True)
connection, _ = listener.accept()
started_s, received_bytes = time.monotonic(), 0
while piece := connection.recv(1 << 16):
    received_bytes += len(piece)
print(received_bytes, time.monotonic() - started_s)
"""
_SOURCE = f"""
import socket, sys
with socket.create_connection((sys.argv[1], {BULK_PORT})) as connection:
    for _ in range({BULK_MIB}):
        connection.sendall(bytes(1 << 20))
"""
_PYTHON = ("python", "-I", "-S", "-c")


def throughput_mbit_s(source: Machine, to: Machine, address: str) -> float:
    """Of one TCP connection to `BULK_PORT` at an address of `to`, all of which arrived."""
    sink = to.spawn([*_PYTHON, _SINK])
    sink.wait_for_output("ready")
    source.succeed([*_PYTHON, _SOURCE, address], timeout_s=JOB_S)
    assert sink.wait() == 0
    received_bytes, took_s = map(float, sink.stdout.split()[1:])
    assert received_bytes == BULK_MIB << 20
    return received_bytes * 8 / took_s / 1e6
