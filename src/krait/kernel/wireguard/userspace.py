# SPDX-License-Identifier: Apache-2.0
"""WireGuard that runs as a process on a tun device, such as wireguard-go, asked over its socket.

The socket's folder belongs to the mount namespace, not to the network namespace: devices of one
name in two network namespaces share one socket. And its name is not the device's: each piece of an
answer comes with the number of the process that wrote it (SCM_CREDENTIALS, unix(7)), which must
hold the device open. SO_PEERCRED would name who called listen(2), often a parent that is long gone.
Source: wireguard.com/xplatform.
"""

import re
import socket
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from struct import Struct

from krait.kernel.link import Link
from krait.kernel.wireguard.device import (
    KEY_BYTES,
    NETWORKS,
    NO_KEY,
    NO_KEY_SEAL,
    Device,
    Peer,
    seal,
)
from krait.kernel.wireguard.x25519 import public_key

FOLDER = Path("/var/run/wireguard")
PATIENCE_S = 5.0
"""How long the process may keep silent; it answers in milliseconds."""

BUFFER_BYTES = 1 << 16
_SHORT_BYTES = 1 << 10

_CREDENTIALS = Struct("=iII")  # struct ucred: process, user, group

# A line is found by the end of the one before: the search for a known first byte is fast.
_LINE = re.compile(
    rb"\n(private_key|listen_port|fwmark|public_key|preshared_key|endpoint|allowed_ip|errno"
    rb"|last_handshake_time_sec|rx_bytes|tx_bytes|persistent_keepalive_interval)=(.*)"
)
_OWN = re.compile(rb"\nprivate_key=([0-9a-f]*)")
_OF_PEERS = re.compile(rb"\n((?:public_key|allowed_ip)=.*)")
_ERROR = re.compile(rb"\nerrno=(-?[0-9]+)")
_NO_PRESHARED = b"0" * 64

Pair = tuple[str, str]
"""A line of the answer: what it tells, and its value."""


def converse(path: Path, trust: Callable[[int], None]) -> Iterator[Pair]:
    """What the process behind the socket says of its device; of a preshared key, its `seal`.

    `trust` is given the number of the process, 0 if it is of a PID namespace that we do not see,
    before anything that it wrote is read; it raises where that process is not to be believed.
    The device's private key is turned into its public one on the way, `own_key`, in hexadecimal.
    Raises what `trust` does, and OSError: TimeoutError if the process is silent, FileNotFoundError
    or ConnectionRefusedError if there is none, else what it answers.
    """
    with closing(_ask(path, trust)) as parts:
        for what, value in told(parts):
            if what == "errno":
                _require_none(value)
                return
            yield what, value


@dataclass(frozen=True, slots=True)
class Essence:
    """The keys and allowed IPs of a device, and nothing else of it."""

    public_key: bytes
    peers: tuple[bytes, ...]
    """In the order of their keys, which are in hexadecimal; behind each a line for each of its
    allowed IPs, as the process wrote it."""

    @property
    def digest(self) -> bytes:
        """16 bytes that stand for all of it."""
        return blake2b(b"\n\n".join((self.public_key, *self.peers)), digest_size=16).digest()

    def device(self, link: Link) -> Device:
        """Without endpoints and what is counted."""
        split = (each.decode().split("\nallowed_ip=") for each in self.peers)
        peers = tuple(
            Peer(_key(key), None, tuple(map(_network, allowed_ips)), 0, 0, 0, 0)
            for key, *allowed_ips in split
        )
        return Device(link.name, link.ifindex, self.public_key, 0, userspace=True, peers=peers)


def essence(path: Path, trust: Callable[[int], None]) -> Essence:
    """What identifies the peers of the device behind the socket; raises as `converse` does."""
    own, lines = NO_KEY, list[bytes]()
    with closing(_ask(path, trust)) as parts:
        for part in parts:
            if not lines and (found := _OWN.search(part)):
                own = public_key(_key(found[1].decode()))
            lines += _OF_PEERS.findall(part)
            if error := _ERROR.search(part):
                _require_none(error[1].decode())
    _, *peers = b"\n".join(lines).split(b"public_key=")
    return Essence(own, tuple(sorted(each.rstrip() for each in peers)))


def answer(stream: socket.socket, trust: Callable[[int], None]) -> int:
    """The error number at the end of an answer that has nothing else in it; 0 if all went well.

    `stream` passes credentials; `trust` and what is raised are as for `converse`.
    """
    *_, (_, value) = told(_parts(stream, bytearray(_SHORT_BYTES), trust))
    return abs(int(value))


def decode(link: Link, pairs: Iterable[Pair]) -> Device:
    """The device that the pairs tell of, its peers in the order of their keys.

    The process lists peers in a random order, their allowed IPs in a stable one. Raises ValueError
    for a value that cannot be, and for what is said of a peer before there is one.
    """
    key, listen_port, fwmark = NO_KEY, 0, 0
    peers: list[tuple[dict[str, str], list[str]]] = []
    for what, value in pairs:
        if what == "own_key":
            key = _key(value)
        elif what == "listen_port":
            listen_port = _number(value, 16)
        elif what == "fwmark":
            fwmark = _number(value, 32, base=0)
        elif what == "public_key":
            peers.append(({what: value}, []))
        elif not peers:
            raise ValueError(f"{what} of a peer before any peer")
        elif what == "allowed_ip":
            peers[-1][1].append(value)
        else:
            peers[-1][0][what] = value
    found = sorted((_peer(*each) for each in peers), key=lambda peer: peer.public_key)
    return Device(
        link.name,
        link.ifindex,
        key,
        listen_port,
        userspace=True,
        peers=tuple(found),
        fwmark=fwmark,
    )


@lru_cache(NETWORKS)
def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text)


def _writer(ancillary: Iterable[tuple[int, int, bytes]]) -> int:
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            return int(_CREDENTIALS.unpack(content[: _CREDENTIALS.size])[0])
    return 0


def _peer(facts: dict[str, str], allowed_ips: list[str]) -> Peer:
    return Peer(
        public_key=_key(facts["public_key"]),
        endpoint=facts.get("endpoint"),
        allowed_ips=tuple(map(_network, allowed_ips)),
        latest_handshake_s=_number(facts.get("last_handshake_time_sec", "0"), 64),
        rx_bytes=_number(facts.get("rx_bytes", "0"), 64),
        tx_bytes=_number(facts.get("tx_bytes", "0"), 64),
        keepalive_s=_number(facts.get("persistent_keepalive_interval", "0"), 16),
        preshared=bytes.fromhex(facts["seal"]) if "seal" in facts else NO_KEY_SEAL,
    )


def _key(text: str) -> bytes:
    key = bytes.fromhex(text)
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key of {len(key)} bytes")  # its text may be a secret
    return key


def _number(text: str, bits: int, *, base: int = 10) -> int:
    if not 0 <= (number := int(text, base)) < 1 << bits:
        raise ValueError(f"a number of {bits} bits is out of range")
    return number


def _require_none(error: str) -> None:
    if error != "0":
        raise OSError(abs(int(error)), "the process refused to tell")


def told(parts: Iterable[memoryview]) -> Iterator[Pair]:
    """The lines that mean something, `errno` the last; each part begins behind a line's end.

    Raises ValueError for a key that is none, or for what is no text.
    """
    for part in parts:
        for name, raw in _LINE.findall(part):
            what, value = name.decode(), raw.decode()
            if what == "private_key":
                what, value = "own_key", public_key(_key(value)).hex()
            elif what == "preshared_key":
                if raw == _NO_PRESHARED:
                    continue
                what, value = "seal", seal(_key(value)).hex()
            yield what, value


def _ask(path: Path, trust: Callable[[int], None]) -> Generator[memoryview, None, None]:
    """The answer to `get`, as `_parts` has it."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(PATIENCE_S)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        stream.connect(str(path))
        stream.sendall(b"get=1\n\n")
        # One buffer, overwritten at the end: the answer holds secrets.
        buffer = bytearray(BUFFER_BYTES)
        try:
            yield from _parts(stream, buffer, trust)
        finally:
            buffer[:] = bytes(BUFFER_BYTES)


def _parts(
    stream: socket.socket, buffer: bytearray, trust: Callable[[int], None]
) -> Generator[memoryview, None, None]:
    """What has arrived, as far as lines are whole, each behind its line break; then the next.

    Each is valid until the next; `errno` is in the last. A line never fills the buffer: values are
    short.
    """
    view, filled, trusted = memoryview(buffer), 1, None
    buffer[0] = ord("\n")
    room = socket.CMSG_SPACE(_CREDENTIALS.size)
    while True:
        size, ancillary, _, _ = stream.recvmsg_into([view[filled:]], room)
        if size == 0:
            raise ConnectionResetError("the process hung up in the middle of its answer")
        writer = _writer(ancillary)
        if writer != trusted:
            trust(writer)
            trusted = writer
        filled += size
        end = buffer.rfind(b"\n", 0, filled)
        yield view[:end]
        if buffer.rfind(b"\nerrno=", 0, end) >= 0:
            return
        view[: filled - end] = view[end:filled]
        filled -= end
