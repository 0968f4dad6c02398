# SPDX-License-Identifier: Apache-2.0
"""Changes as a userspace WireGuard takes them, which a thread behind a socket plays."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from queue import SimpleQueue

import pytest

from krait.kernel.wireguard.change import DeviceChange, PeerChange
from krait.kernel.wireguard.userspace import BUFFER_BYTES
from krait.kernel.wireguard.userspace_change import Refused, lines, send
from krait.policy.endpoint import NotAnEndpoint
from tests.patience import PATIENCE_S

A, B = b"A" * 32, b"B" * 32
PRIVATE, PRESHARED = b"\xa5" * 32, b"\x5a" * 32

DONE = b"errno=0\n\n"


def believe(_: int) -> None:
    """Who trusts every process."""


def taken(stream: socket.socket) -> bytes:
    """A request, up to its blank line; less if the other side hangs up."""
    request = b""
    while not request.endswith(b"\n\n"):
        some = stream.recv(1 << 16)
        if not some:
            break
        request += some
    return request


Playing = Callable[[Callable[[socket.socket], None]], Path]


@pytest.fixture
def playing(tmp_path: Path) -> Iterator[Playing]:
    """Makes a process that serves one connection with this play."""
    threads: list[threading.Thread] = []

    def start(play: Callable[[socket.socket], None]) -> Path:
        path = tmp_path / "wg0.sock"
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            with server, server.accept()[0] as stream:
                play(stream)

        threads.append(threading.Thread(target=serve, daemon=True))
        threads[0].start()
        return path

    yield start
    for thread in threads:
        thread.join(10)


def test_a_change_is_lines_of_text_removals_first() -> None:
    whole = PeerChange(
        A,
        PRESHARED,
        "[2001:db8::7]:51821",
        25,
        (ip_network("10.8.0.2/32"), ip_network("fd7a:6b72::2/128")),
    )
    change = DeviceChange(PRIVATE, 51820, 9, (whole, PeerChange(B, PRESHARED, remove=True)))
    assert list(lines(change)) == [
        "set=1",
        f"private_key={'a5' * 32}",
        "listen_port=51820",
        "fwmark=9",
        f"public_key={'42' * 32}",
        "remove=true",
        f"public_key={'41' * 32}",
        f"preshared_key={'5a' * 32}",
        "endpoint=[2001:db8::7]:51821",
        "persistent_keepalive_interval=25",
        "replace_allowed_ips=true",
        "allowed_ip=10.8.0.2/32",
        "allowed_ip=fd7a:6b72::2/128",
        "",
    ]


def test_what_is_none_is_not_named_and_an_endpoint_is_one_line() -> None:
    assert list(lines(DeviceChange(peers=(PeerChange(A),)))) == [
        "set=1",
        f"public_key={'41' * 32}",
        "",
    ]
    two = DeviceChange(peers=(PeerChange(A, endpoint="192.0.2.1:1\nallowed_ip=0.0.0.0/0"),))
    with pytest.raises(NotAnEndpoint):
        list(lines(two))


def test_no_key_is_handed_to_a_process_that_is_not_trusted(playing: Playing) -> None:
    heard: SimpleQueue[bytes] = SimpleQueue()

    def play(stream: socket.socket) -> None:
        heard.put(taken(stream))
        stream.sendall(DONE)
        heard.put(taken(stream))

    asked: list[int] = []

    def distrust(pid: int) -> None:
        asked.append(pid)
        raise PermissionError("not this one")

    with pytest.raises(PermissionError, match="not this one"):
        send(playing(play), DeviceChange(PRIVATE), distrust)
    assert asked == [os.getpid()]
    assert [heard.get(timeout=PATIENCE_S), heard.get(timeout=PATIENCE_S)] == [b"set=1\n\n", b""]


def test_a_change_longer_than_the_buffer_arrives_whole(playing: Playing) -> None:
    heard: SimpleQueue[bytes] = SimpleQueue()

    def play(stream: socket.socket) -> None:
        for _ in range(2):
            heard.put(taken(stream))
            stream.sendall(DONE)

    change = DeviceChange(
        PRIVATE,
        peers=tuple(
            PeerChange(n.to_bytes(32, "big"), allowed_ips=(ip_network(f"10.8.{n >> 8}.{n & 255}"),))
            for n in range(5_000)
        ),
    )
    send(playing(play), change, believe)
    heard.get(timeout=PATIENCE_S)
    text = heard.get(timeout=PATIENCE_S)
    assert len(text) > 3 * BUFFER_BYTES
    assert text.decode() == "\n".join([*lines(change), ""])


def test_what_the_process_refuses_is_refused_even_if_it_stops_reading(playing: Playing) -> None:
    def play(stream: socket.socket) -> None:
        taken(stream)
        stream.sendall(DONE)
        stream.recv(64)
        stream.sendall(b"errno=-98\n\n")

    peers = tuple(PeerChange(n.to_bytes(32, "big")) for n in range(20_000))
    with pytest.raises(Refused) as caught:
        send(playing(play), DeviceChange(PRIVATE, 51820, peers=peers), believe)
    assert caught.value.errno == 98
    assert "a5a5" not in str(caught.value)


def test_a_process_that_hangs_up_is_an_error(playing: Playing) -> None:
    def play(stream: socket.socket) -> None:
        taken(stream)

    with pytest.raises(ConnectionResetError):
        send(playing(play), DeviceChange(PRIVATE), believe)
