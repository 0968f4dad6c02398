# SPDX-License-Identifier: Apache-2.0
"""The program that sends many datagrams, or notes them: `python pairs.py MODE ARGS`.

send PORT,PORT… PAUSE_S SOURCE,DESTINATION…   again and again one to each port, all with one
                            number and from one port, over one pair of addresses after the other; at
                            SIGTERM it says how many numbers it sent
note PORT,PORT…             at SIGTERM it says of each that came in on wg0, and past its filter:
                            source, port, number, when it was sent and when it was noted, in
                            nanoseconds of CLOCK_MONOTONIC
opens COUNT PORT SOURCE,DESTINATION    a datagram from each of so many ports, from 1 on
answer PORT                 answers each datagram that comes
ignore PORT                 gets what comes, and answers nobody; until it is killed
firsts COUNT PORT SOURCE,DESTINATION   the first fragments of so many datagrams
"""

import json
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from itertools import cycle

DEVICE = "wg0"
_DATA = struct.Struct("!QQ")  # number, when it was sent
_SOURCE_PORTS = range(1024, 65_000)
_SO_RCVBUFFORCE = 33  # include/uapi/asm-generic/socket.h
_BUFFER_BYTES = 1 << 24


_over = threading.Event()


def send(ports: str, pause_s: str, *ends: str) -> None:
    to = [int(port) for port in ports.split(",")]
    headers = cycle([_header(*each.split(",")) for each in ends])
    number = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as sock:
        while not _over.wait(float(pause_s)):
            head, ethertype = next(headers)
            source_port = _SOURCE_PORTS[number % len(_SOURCE_PORTS)]
            for port in to:
                udp = struct.pack("!HHHH", source_port, port, 8 + _DATA.size, 0)
                packet = head + udp + _DATA.pack(number, time.monotonic_ns())
                sock.sendto(packet, (DEVICE, ethertype))
            number += 1
    say(json.dumps(number))


def opens(count: str, port: str, ends: str) -> None:
    source, destination = ends.split(",")
    head, ethertype = _header(source, destination)
    body = _DATA.pack(0, 0)
    udp = (struct.pack("!HHHH", each, int(port), 8 + len(body), 0) for each in range(1, 1 << 16))
    _burst((head + next(udp) + body for _ in range(int(count))), ethertype)


def answer(port: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        sock.bind(("", int(port)))
        say("ready")
        while True:
            data, sender = sock.recvfrom(0xFFFF)
            sock.sendto(data, sender)


def ignore(port: str) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:  # and of IPv4
        sock.bind(("::", int(port)))
        say("ready")
        _over.wait()


def firsts(count: str, port: str, ends: str) -> None:
    source, destination = ends.split(",")
    addresses = ip_address(source).packed + ip_address(destination).packed
    udp = struct.pack("!HHHH", 40000, int(port), 32, 0) + bytes(8)
    head = [0x45, 0, 20 + len(udp), 0, 0x2000, 64, 17, 0]
    numbered = ([*head[:3], number, *head[4:]] for number in range(int(count)))
    packets = (struct.pack("!BBHHHBBH", *each) + addresses + udp for each in numbered)
    _burst(packets, 0x0800)


def _burst(packets: Iterable[bytes], ethertype: int) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as sock:
        for number, packet in enumerate(packets):
            sock.sendto(packet, (DEVICE, ethertype))
            if number % 64 == 0:  # what queues up in WireGuard beyond its queues is lost
                time.sleep(0.004)


def note(ports: str) -> None:
    heard = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in ports.split(",")]
    for sock, port in zip(heard, ports.split(","), strict=True):
        sock.bind(("::", int(port)))  # so that nobody is told that nobody listens
    noted: list[tuple[str, int, int, int, int]] = []
    # A socket of one protocol is served behind a device's filters; one of all would be before them.
    packets = [socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) for _ in range(2)]
    for sock, ethertype in zip(packets, (0x0800, 0x86DD), strict=True):
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        sock.bind((DEVICE, ethertype))
    say("ready")
    while (waiting := select.select(packets, [], [], 0.1)[0]) or not _over.is_set():
        for sock in waiting:
            data, sender = sock.recvfrom(0xFFFF)
            if sender[2] != socket.PACKET_OUTGOING and _protocol(data) == socket.IPPROTO_UDP:
                noted.append((*_read(data), time.monotonic_ns()))
    say(json.dumps(noted))


def _header(source: str, destination: str) -> tuple[bytes, int]:
    ends = ip_address(source).packed + ip_address(destination).packed
    udp_bytes = 8 + _DATA.size
    if ":" in source:
        return struct.pack("!IHBB", 6 << 28, udp_bytes, 17, 64) + ends, 0x86DD
    fields = (0x45, 0, 20 + udp_bytes, 1, 0, 64, 17)
    words = struct.unpack("!10H", struct.pack("!BBHHHBBxx", *fields) + ends)
    total = sum(words) % 0xFFFF  # RFC 1071; without it the stack would take none
    return struct.pack("!BBHHHBBH", *fields, ~total & 0xFFFF) + ends, 0x0800


def _protocol(data: bytes) -> int:
    return data[9] if data[0] >> 4 == 4 else data[6]


def _read(data: bytes) -> tuple[str, int, int, int]:
    """Source, port, number, when it was sent."""
    at, source = (20, data[12:16]) if data[0] >> 4 == 4 else (40, data[8:24])
    (port,) = struct.unpack_from("!H", data, at + 2)
    return str(ip_address(source)), port, *_DATA.unpack_from(data, at + 8)


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this is how a program answers


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: _over.set())
    modes: dict[str, Callable[..., None]] = {
        "send": send,
        "note": note,
        "opens": opens,
        "answer": answer,
        "ignore": ignore,
        "firsts": firsts,
    }
    modes[sys.argv[1]](*sys.argv[2:])
