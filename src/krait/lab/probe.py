# SPDX-License-Identifier: Apache-2.0
"""The program that sends and answers traffic inside a machine: `python -I -S probe.py MODE`.

It stands on the standard library alone, takes one JSON object on standard input and writes one
JSON object a line. Modes:

serve  {"addresses": […], "ports": […]}           TCP and UDP echo on each; {"event": "ready"}
ask    {"targets": [[protocol, address, port]…], "timeout_s": s}   one line a target, in order:
       {"answer": "ok" | "timeout" | "refused" | an errno's name, "elapsed_s": s}
flow   {"protocol", "address", "port", "listen": bool, "interval_s": s}   {"event": "ready"}, then
       {"report": n, …} on the n-th SIGUSR1

A flow is full duplex: each end sends a tick every interval whatever it hears, so that the two
directions are measured apart. Times are CLOCK_MONOTONIC nanoseconds of the host.
"""

import asyncio
import errno
import json
import secrets
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

TICK = struct.Struct("!QQ")  # its number, and when it was sent
_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time
_NONCE_BYTES = 16
_RESEND_S = 1.0  # long enough that a busy machine answers once, not twice
_ECHO = {
    socket.AF_INET: (socket.IPPROTO_ICMP, 8, 0),
    socket.AF_INET6: (socket.IPPROTO_ICMPV6, 128, 129),
}


def say(**fields: object) -> None:
    """One JSON line, at once."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


class UdpEcho(asyncio.DatagramProtocol):
    """Sends every datagram back to where it came from."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._transport.sendto(data, addr)


class TcpEcho(asyncio.Protocol):
    """Sends every byte back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


async def serve(addresses: list[str], ports: list[int]) -> None:
    """Echo until killed. Sockets are bound to each address, so that UDP answers come from it."""
    loop = asyncio.get_running_loop()
    for address in addresses:
        for port in ports:
            await loop.create_server(TcpEcho, address, port)
            await loop.create_datagram_endpoint(UdpEcho, (address, port))
    say(event="ready")
    await loop.create_future()


async def ask(targets: list[tuple[str, str, int]], timeout_s: float) -> None:
    """Try all targets at once, each for at most `timeout_s`."""
    for answer in await asyncio.gather(*(_ask_one(*target, timeout_s) for target in targets)):
        say(**answer)


async def _ask_one(protocol: str, address: str, port: int, timeout_s: float) -> dict[str, object]:
    started_s = time.monotonic()
    attempt = {"tcp": _ask_tcp, "udp": _ask_udp, "icmp": _ask_icmp}[protocol]
    try:
        async with asyncio.timeout(timeout_s):
            await attempt(address, port)
        answer = "ok"
    except TimeoutError:
        answer = "timeout"
    except ConnectionRefusedError:
        answer = "refused"
    except asyncio.IncompleteReadError:
        answer = "closed"
    except OSError as error:
        answer = errno.errorcode.get(error.errno or 0, str(error))
    return {"answer": answer, "elapsed_s": round(time.monotonic() - started_s, 6)}


async def _ask_tcp(address: str, port: int) -> None:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(nonce)
        while await reader.readexactly(len(nonce)) != nonce:
            pass
    finally:
        writer.close()


async def _ask_udp(address: str, port: int) -> None:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    with socket.socket(_family(address), socket.SOCK_DGRAM) as sock:
        sock.connect((address, port))
        await _exchange(sock, nonce, nonce.__eq__)


async def _ask_icmp(address: str, _port: int) -> None:
    # A datagram ICMP socket: the kernel fills in identifier and checksum, and hands over only the
    # replies to this socket. Wants net.ipv4.ping_group_range, which the machine sets.
    nonce = secrets.token_bytes(_NONCE_BYTES)
    protocol, request, reply = _ECHO[_family(address)]
    with socket.socket(_family(address), socket.SOCK_DGRAM, protocol) as sock:
        sock.connect((address, 0))
        message = struct.pack("!BBHHH", request, 0, 0, 0, 1) + nonce
        await _exchange(sock, message, lambda got: got[0] == reply and got[8:] == nonce)


async def _exchange(sock: socket.socket, message: bytes, is_reply: Callable[[bytes], bool]) -> None:
    """Send, and send again while nothing comes: a datagram may wait for a handshake or be lost."""
    loop = asyncio.get_running_loop()
    sock.setblocking(False)
    while True:
        with suppress(TimeoutError):
            await _send(sock, message)
            async with asyncio.timeout(_RESEND_S):
                while not is_reply(await loop.sock_recv(sock, 2048)):
                    pass
                return


async def _send(sock: socket.socket, message: bytes) -> None:
    try:
        await asyncio.get_running_loop().sock_sendall(sock, message)
    except OSError as error:
        # A drop on egress (ICMP tells, UDP does not) counts as a drop anywhere else: silence.
        if error.errno != errno.ENOBUFS:
            raise


class Flow(asyncio.Protocol, asyncio.DatagramProtocol):
    """One end of a flow: ticks out, ticks in, and the account of both."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._transport: Any = None
        self._send: Callable[[bytes], None] | None = None
        self._got_bytes = 0
        self._unread = b""  # the beginning of a tick whose rest is still to come
        self._reports = 0
        self.sent = 0
        self.first_ns = 0
        self.last_ns = 0
        self.last_sent_ns = 0
        self.longest_gap_ns = 0
        self.error = ""

    def report(self) -> None:
        """The account so far; `error` is empty while the flow is whole."""
        self._reports += 1
        say(
            report=self._reports,
            sent=self.sent,
            received=self._got_bytes // TICK.size,
            first_ns=self.first_ns,
            last_ns=self.last_ns,
            last_sent_ns=self.last_sent_ns,
            longest_gap_ns=self.longest_gap_ns,
            error=self.error,
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to tick where the other end is known: not on a UDP socket that listens."""
        self._transport = transport
        sock = transport.get_extra_info("socket")
        if sock.type == socket.SOCK_STREAM:
            # Who is killed resets. Its kernel would else try for minutes to end what is denied.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        if transport.get_extra_info("peername"):
            self._start(getattr(transport, "sendto", None) or self._transport.write)

    def data_received(self, data: bytes) -> None:
        self._took(data)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Count it; the first one tells a listening socket whom to answer."""
        if self._send is None:  # a listening socket learns here whom to answer
            self._start(lambda tick: self._transport.sendto(tick, addr))
        self._took(data)

    def error_received(self, exc: Exception) -> None:
        """An ICMP error about the flow, as its socket tells it; the ticks go on."""
        self.error = repr(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop; to be closed by the other end is an error of the flow, too."""
        self._send = None
        self.error = repr(exc) if exc else "closed by the other end"

    def _took(self, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        if self.last_ns:
            self.longest_gap_ns = max(self.longest_gap_ns, now_ns - self.last_ns)
        self.first_ns = self.first_ns or now_ns
        self.last_ns = now_ns
        self._got_bytes += len(data)
        got = self._unread + data
        whole = len(got) // TICK.size * TICK.size
        self._unread = got[whole:]
        for _, sent_ns in TICK.iter_unpack(got[:whole]):
            self.last_sent_ns = max(self.last_sent_ns, sent_ns)  # datagrams may overtake others

    def _start(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._tick(asyncio.get_running_loop().time())

    def _tick(self, due_s: float) -> None:
        if self._send is None:
            return
        self._send(TICK.pack(self.sent, time.monotonic_ns()))
        self.sent += 1
        loop = asyncio.get_running_loop()
        # By the schedule, not by the last tick, so that the rate holds; what was slept through
        # (a stopped process) is not made up for.
        next_s = max(due_s + self._interval_s, loop.time() - self._interval_s)
        loop.call_at(next_s, self._tick, next_s)


async def flow(protocol: str, address: str, port: int, *, listen: bool, interval_s: float) -> None:
    """Be one end of a flow until killed."""
    loop = asyncio.get_running_loop()
    end = Flow(interval_s)
    loop.add_signal_handler(signal.SIGUSR1, end.report)
    match protocol, listen:
        case "tcp", True:
            await loop.create_server(lambda: end, address, port)
        case "tcp", False:
            await loop.create_connection(lambda: end, address, port)
        case "udp", True:
            await loop.create_datagram_endpoint(lambda: end, local_addr=(address, port))
        case _:
            await loop.create_datagram_endpoint(lambda: end, remote_addr=(address, port))
    say(event="ready")
    await loop.create_future()


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


if __name__ == "__main__":
    modes: dict[str, Callable[..., Coroutine[Any, Any, None]]]
    modes = {"serve": serve, "ask": ask, "flow": flow}
    asyncio.run(modes[sys.argv[1]](**json.load(sys.stdin)))
