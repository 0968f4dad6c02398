# SPDX-License-Identifier: Apache-2.0
"""A change as a userspace WireGuard takes it: lines of text over its socket.

Source: wireguard.com/xplatform, "Configuration Protocol".
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from krait.kernel.wireguard.change import DeviceChange, PeerChange
from krait.kernel.wireguard.userspace import BUFFER_BYTES, PATIENCE_S, answer
from krait.policy.endpoint import Endpoint, numeric

_PEER_S = 0.05
"""Many times what a process may need for a peer: it answers once all are made."""


class Refused(OSError):
    """The process took the change and said no to some of it."""


def send(path: Path, change: DeviceChange, trust: Callable[[int], None]) -> None:
    """Hand the change to the process behind the socket, and wait until it has made it.

    `trust` is as for `userspace.converse`: the process answers an empty change first, and is given
    keys only if it is to be believed. Raises what `trust` does, Refused, and OSError as there;
    NotAnEndpoint.
    """
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(PATIENCE_S + _PEER_S * len(change.peers))
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        stream.connect(str(path))
        stream.sendall(b"set=1\n\n")
        _hear(stream, trust)
        # One that stops reading has said why; what it said can be read still.
        with suppress(BrokenPipeError, ConnectionResetError):
            _write(stream, lines(change))
        _hear(stream, trust)


def lines(change: DeviceChange) -> Iterator[str]:
    """The lines of the change; they hold its keys, in hexadecimal. Raises NotAnEndpoint."""
    yield "set=1"
    if change.private_key is not None:
        yield f"private_key={change.private_key.hex()}"
    if change.listen_port is not None:
        yield f"listen_port={change.listen_port}"
    if change.fwmark is not None:
        yield f"fwmark={change.fwmark}"
    for peer in change.ordered:
        yield f"public_key={peer.public_key.hex()}"
        yield from _of(peer)
    yield ""


def _of(peer: PeerChange) -> Iterator[str]:
    if peer.remove:
        yield "remove=true"
        return
    if peer.preshared_key is not None:
        yield f"preshared_key={peer.preshared_key.hex()}"
    if peer.endpoint is not None:
        yield f"endpoint={Endpoint(*numeric(peer.endpoint))}"  # as it stands, it could be two lines
    if peer.keepalive_s is not None:
        yield f"persistent_keepalive_interval={peer.keepalive_s}"
    if peer.allowed_ips is not None:
        yield "replace_allowed_ips=true"
        for network in peer.allowed_ips:
            yield f"allowed_ip={network}"


def _hear(stream: socket.socket, trust: Callable[[int], None]) -> None:
    if code := answer(stream, trust):
        raise Refused(code, "the process refused to change")


def _write(stream: socket.socket, text: Iterator[str]) -> None:
    """Send lines through a buffer that is overwritten afterwards: it holds keys."""
    buffer = bytearray(BUFFER_BYTES)
    view, filled = memoryview(buffer), 0
    try:
        for line in text:
            end = filled + len(line) + 1
            if end > BUFFER_BYTES:
                stream.sendall(view[:filled])
                filled, end = 0, len(line) + 1
            buffer[filled:end] = f"{line}\n".encode()
            filled = end
        stream.sendall(view[:filled])
    finally:
        buffer[:] = bytes(BUFFER_BYTES)
