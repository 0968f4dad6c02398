# SPDX-License-Identifier: Apache-2.0
"""The program that sends a machine's large and lying packets: `python packets.py MODE ARGS`.

transfer ADDRESS           half a megabyte to a TCP echo server, and back
insist PROTOCOL ADDRESS    a message of 1372 bytes that nobody may fragment, by `udp` or as an echo
                           request (`icmp`), until it is said to be too large for the path
listen ADDRESS             a live flow from UDP port 4000, until it is killed: an `echo` for each,
                           `too large` if told so
forge SOURCE DESTINATION   the ICMP error that a large datagram of that flow was too large
large ADDRESS PORT         a UDP message of 8,000 bytes, in fragments, until it comes back; given up
                           after three that do not
pieces PROTOCOL SOURCE DESTINATION OFFSET:MORE:DATA …   fragments of one datagram; offset in bytes
                           and data are hexadecimal, more is 0 or 1
frames DEVICE FRAME …      packets, in hexadecimal from their IP headers on, as they are but for the
                           checksum of an IPv4 header, past the kernel's own idea of them
watch DEVICE PORT          a line `in FRAME` for each packet that came in on a device and got past
                           what filters there, and `heard DATA` for what a UDP socket got, which
                           answers nobody; until it is killed
"""

import errno
import secrets
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address

PORT, FLOW_PORT = 80, 4000
_MESSAGE_BYTES = 1372
_CLAIMED_BYTES = 1400
_MTU_BYTES = 1300
_RESEND_S = 5.0
_PATIENCE_S = 1.0  # for what may well be denied
_LARGE_BYTES = 8000
# IP_MTU_DISCOVER, IPV6_MTU_DISCOVER and their .._DO (include/uapi/linux/in.h, in6.h).
_NEVER_FRAGMENT = {
    socket.AF_INET: (socket.IPPROTO_IP, 10, 2),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 23, 2),
}
_ECHO = {
    socket.AF_INET: (socket.IPPROTO_ICMP, 8),
    socket.AF_INET6: (socket.IPPROTO_ICMPV6, 128),
}


def transfer(address: str) -> None:
    with socket.create_connection((address, PORT)) as sock:
        for _ in range(16):
            sent, got = secrets.token_bytes(1 << 15), b""
            sock.sendall(sent)
            while len(got) < len(sent):
                got += sock.recv(1 << 16)
            if got != sent:
                sys.exit("other bytes came back")


def insist(protocol: str, address: str) -> None:
    family = _family(address)
    number, request = _ECHO[family]
    message = struct.pack("!BBHHH", request, 0, 0, 0, 1).ljust(_MESSAGE_BYTES, b"x")
    with socket.socket(family, socket.SOCK_DGRAM, number if protocol == "icmp" else 0) as sock:
        sock.setsockopt(*_NEVER_FRAGMENT[family])
        sock.connect((address, PORT))
        sock.settimeout(_RESEND_S)
        # One message, one answer: a second error would come when the first is forgotten again.
        while not _is_too_large(lambda: _exchange(sock, message)):
            pass


def listen(address: str) -> None:
    with socket.socket(_family(address), socket.SOCK_DGRAM) as sock:
        sock.settimeout(_RESEND_S)
        sock.bind(("", FLOW_PORT))
        sock.connect((address, PORT))
        while True:
            told = "too large" if _is_too_large(lambda: _exchange(sock, b"x")) else "echo"
            print(told, flush=True)  # noqa: T201 - this is how a program answers
            time.sleep(0.02)


def _exchange(sock: socket.socket, message: bytes) -> None:
    """Send, and send again if all is lost; an error about either is raised by both."""
    while True:
        sock.send(message)
        with suppress(TimeoutError):
            sock.recv(9)
            return


def forge(source: str, destination: str) -> None:
    addresses = ip_address(source).packed + ip_address(destination).packed
    udp_bytes = _CLAIMED_BYTES - 20 if ":" not in source else _CLAIMED_BYTES - 40
    udp = struct.pack("!HHHH", FLOW_PORT, PORT, udp_bytes, 0)
    if ":" in source:  # RFC 4443, 3.2; the kernel fills in the checksum
        error = struct.pack("!BBHI", 2, 0, 0, _MTU_BYTES)
        header = struct.pack("!IHBB", 6 << 28, udp_bytes, socket.IPPROTO_UDP, 64)
        message = error + header + addresses + udp
    else:  # RFC 1191, 4
        ports = struct.pack("!BBHHHBBH", 0x45, 0, _CLAIMED_BYTES, 1, 0x4000, 64, 17, 0)
        rest = struct.pack("!HH", 0, _MTU_BYTES) + ports + addresses + udp
        message = struct.pack("!BBH", 3, 4, _checksum(b"\x03\x04" + rest)) + rest
    family = _family(source)
    with socket.socket(family, socket.SOCK_RAW, _ECHO[family][0]) as sock:
        sock.sendto(message, (source, 0))


def large(address: str, port: str) -> None:
    message = secrets.token_bytes(_LARGE_BYTES)
    with socket.socket(_family(address), socket.SOCK_DGRAM) as sock:
        sock.connect((address, int(port)))
        sock.settimeout(_PATIENCE_S)
        for _ in range(3):
            sock.send(message)
            with suppress(TimeoutError):
                if sock.recv(_LARGE_BYTES) == message:
                    return
    sys.exit("nothing came back")


def pieces(protocol: str, source: str, destination: str, *parts: str) -> None:
    family, number = _family(source), int(protocol)
    addresses = ip_address(source).packed + ip_address(destination).packed
    identifier = secrets.randbelow(0xFFFF) + 1  # for 0 the kernel fills in one
    with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        for part in parts:
            offset, more, text = part.split(":")
            place, data = int(offset, 16) | int(more), bytes.fromhex(text)
            if family is socket.AF_INET6:
                chain = struct.pack("!BxHI", number, place, identifier) + data
                header = struct.pack("!IHBB", 6 << 28, len(chain), 44, 64) + addresses + chain
            else:  # the kernel fills in the checksum
                word = place // 8 | (place & 1) << 13
                length = 20 + len(data)
                fields = (0x45, 0, length, identifier, word, 64, number, 0)
                header = struct.pack("!BBHHHBBH", *fields) + addresses + data
            sock.sendto(header, (destination, 0))


def frames(device: str, *texts: str) -> None:
    # Of the interface, not of the stack, which would write lengths and addresses anew.
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as sock:
        for frame in map(bytearray.fromhex, texts):
            version, header_bytes = frame[0] >> 4, (frame[0] & 15) * 4
            if version == 4 and 20 <= header_bytes <= len(frame):
                frame[10:12] = struct.pack("!H", _checksum(bytes(frame[:header_bytes])))
            try:
                sock.sendto(frame, (device, 0x86DD if version == 6 else 0x0800))
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # a filter of this machine's own dropped it
                    raise


def watch(device: str, port: str) -> None:
    # A socket of one protocol is served behind a device's filters; one of all would be before them.
    packets = [socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) for _ in range(2)]
    for sock, ethertype in zip(packets, (0x0800, 0x86DD), strict=True):
        sock.bind((device, ethertype))
    heard = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)  # and of IPv4
    heard.bind(("::", int(port)))
    print("ready", flush=True)  # noqa: T201
    while True:
        for sock in select.select([*packets, heard], [], [])[0]:
            data, sender = sock.recvfrom(0xFFFF)
            if sock is heard or sender[2] != socket.PACKET_OUTGOING:
                what = "heard" if sock is heard else "in"
                print(what, data.hex(), flush=True)  # noqa: T201


def _is_too_large(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError as error:
        if error.errno == errno.EMSGSIZE:
            return True
        raise
    return False


def _checksum(data: bytes) -> int:
    """RFC 1071, over an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


if __name__ == "__main__":
    modes: dict[str, Callable[..., None]]
    modes = {
        "transfer": transfer,
        "insist": insist,
        "listen": listen,
        "forge": forge,
        "large": large,
        "pieces": pieces,
        "frames": frames,
        "watch": watch,
    }
    modes[sys.argv[1]](*sys.argv[2:])
