# SPDX-License-Identifier: Apache-2.0
"""The program that sends as fast as it can: `python torrent.py MODE ARGS`; it says how much.

flood SOURCE DESTINATION PORT SECONDS   datagrams from every port in turn, into wg0
sink PORT                               takes what TCP brings, until it is killed
pour ADDRESS PORT SECONDS               TCP
"""

import socket
import struct
import sys
import time
from collections.abc import Callable
from ipaddress import ip_address
from itertools import cycle

_BODY = bytes(64)
_CHUNK = bytes(1 << 16)


def flood(source: str, destination: str, port: str, seconds: str) -> None:
    addresses = ip_address(source).packed + ip_address(destination).packed
    head = struct.pack("!BBHHHBBH", 0x45, 0, 28 + len(_BODY), 1, 0, 64, 17, 0) + addresses
    ports = (struct.pack("!HHHH", each, int(port), 8 + len(_BODY), 0) for each in range(1, 1 << 16))
    packets = cycle([head + each + _BODY for each in ports])
    sent, until_s = 0, time.monotonic() + float(seconds)
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as sock:
        sock.bind(("wg0", 0x0800))
        while time.monotonic() < until_s:
            for _ in range(64):
                try:
                    sock.send(next(packets))
                    sent += 1
                except OSError:  # the device's queue is full
                    time.sleep(0.0002)
    say(sent)


def sink(port: str) -> None:
    with socket.create_server(("", int(port))) as listening:
        say("ready")
        while True:
            sock, _ = listening.accept()
            with sock:
                while sock.recv(1 << 20):
                    pass


def pour(address: str, port: str, seconds: str) -> None:
    sent, until_s = 0, time.monotonic() + float(seconds)
    with socket.create_connection((address, int(port))) as sock:
        while time.monotonic() < until_s:
            sent += sock.send(_CHUNK)
    say(sent)


def say(word: object) -> None:
    print(word, flush=True)


if __name__ == "__main__":
    modes: dict[str, Callable[..., None]] = {"flood": flood, "sink": sink, "pour": pour}
    modes[sys.argv[1]](*sys.argv[2:])
