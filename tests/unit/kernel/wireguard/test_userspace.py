# SPDX-License-Identifier: Apache-2.0
"""Reading the answer of a userspace WireGuard, played by a thread behind a socket."""

import os
import pickle
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import ip_network
from itertools import count
from pathlib import Path

import pytest

from krait.common.errors import SystemRefused
from krait.kernel.link import Link
from krait.kernel.wireguard import userspace
from krait.kernel.wireguard.device import NO_KEY, Device, Peer
from krait.kernel.wireguard.driver import answering as answered
from krait.kernel.wireguard.userspace import converse, decode, essence

LINK = Link(7, "wg0", "tun", 1420, up=True)

Answering = Callable[[Iterable[str]], Path]

# Alice's keys of RFC 7748, section 6.1.
PRIVATE_KEY = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"
PUBLIC_KEY = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
PRESHARED_KEY = "5a" * 32
A, B = "aa" * 32, "bb" * 32

OWN = f"private_key={PRIVATE_KEY}\nlisten_port=51820\nfwmark=1\n"
PEER_A = f"""public_key={A}
preshared_key={PRESHARED_KEY}
protocol_version=1
endpoint=192.0.2.7:51821
last_handshake_time_sec=1700000000
last_handshake_time_nsec=999999999
tx_bytes=3
rx_bytes=1099511627776
persistent_keepalive_interval=25
allowed_ip=10.8.0.2/32
allowed_ip=fd7a:6b72::2/128
"""
PEER_B = f"public_key={B}\nprotocol_version=1\nallowed_ip=10.8.0.3/32\n"
END = "errno=0\n\n"


def believe(_: int) -> None:
    """Who trusts every process."""


@pytest.fixture
def answering(tmp_path: Path) -> Callable[[Iterable[str]], Path]:
    """Makes processes that answer their first question with these pieces, one write each."""

    numbers = count()

    def start(pieces: Iterable[str]) -> Path:
        path = tmp_path / f"{next(numbers)}.sock"
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            with server, server.accept()[0] as stream:
                assert stream.recv(64) == b"get=1\n\n"
                with suppress(BrokenPipeError):  # who has heard enough is gone
                    for piece in pieces:
                        stream.sendall(piece.encode())

        threading.Thread(target=serve, daemon=True).start()
        return path

    return start


def test_a_device_and_its_peers_are_read_whole_in_the_order_of_their_keys(
    answering: Answering,
) -> None:
    device = decode(LINK, converse(answering([OWN + PEER_B + PEER_A + END]), believe))
    assert device == Device(
        name="wg0",
        ifindex=7,
        public_key=bytes.fromhex(PUBLIC_KEY),
        listen_port=51820,
        userspace=True,
        peers=(
            Peer(
                public_key=bytes.fromhex(A),
                endpoint="192.0.2.7:51821",
                allowed_ips=(ip_network("10.8.0.2/32"), ip_network("fd7a:6b72::2/128")),
                latest_handshake_s=1_700_000_000,
                rx_bytes=1 << 40,
                tx_bytes=3,
                keepalive_s=25,
            ),
            Peer(bytes.fromhex(B), None, (ip_network("10.8.0.3/32"),), 0, 0, 0, 0),
        ),
        fwmark=1,
    )


def test_a_preshared_key_is_told_only_to_who_knows_it(answering: Answering) -> None:
    a, b = decode(LINK, converse(answering([OWN + PEER_A + PEER_B + END]), believe)).peers
    assert a.has_preshared(bytes.fromhex(PRESHARED_KEY))
    assert not a.has_preshared(NO_KEY)
    assert not b.has_preshared(bytes.fromhex(PRESHARED_KEY))
    assert b.has_preshared(NO_KEY)


def test_a_device_without_key_or_peers_is_read(answering: Answering) -> None:
    device = decode(LINK, converse(answering([END]), believe))
    assert device == Device("wg0", 7, NO_KEY, 0, userspace=True, peers=())


def test_an_answer_longer_than_the_buffer_arrives_whole(answering: Answering) -> None:
    prefixes = [f"10.{high}.{low}.0/24" for high in range(40) for low in range(256)]
    answer = OWN + PEER_B + "".join(f"allowed_ip={each}\n" for each in prefixes) + END
    assert len(answer) > 3 * userspace.BUFFER_BYTES
    device = decode(LINK, converse(answering([answer]), believe))
    assert [str(each) for each in device.peers[0].allowed_ips[1:]] == prefixes


def test_an_answer_in_single_letters_arrives_whole(answering: Answering) -> None:
    device = decode(LINK, converse(answering(OWN + PEER_A + END), believe))
    assert device.peers[0].endpoint == "192.0.2.7:51821"


def test_no_secret_is_picked_up_on_the_way(answering: Answering) -> None:
    pairs = list(converse(answering([OWN + PEER_A + END]), believe))
    assert ("own_key", PUBLIC_KEY) in pairs
    assert not {PRIVATE_KEY, PRESHARED_KEY} & {value for _, value in pairs}


def test_no_secret_is_in_what_was_read(answering: Answering) -> None:
    device = decode(LINK, converse(answering([OWN + PEER_A + END]), believe))
    for kept in (pickle.dumps(device), repr(device).encode()):
        for secret in (PRIVATE_KEY, PRESHARED_KEY):
            assert secret.encode() not in kept
            assert bytes.fromhex(secret) not in kept
            assert repr(bytes.fromhex(secret))[2:-1].encode() not in kept


def test_who_writes_is_told_before_anything_it_wrote_is_read(answering: Answering) -> None:
    asked: list[int] = []

    def trust(pid: int) -> None:
        asked.append(pid)
        raise PermissionError("not this one")

    pairs = converse(answering([OWN + END]), trust)
    with pytest.raises(PermissionError, match="not this one"):
        next(pairs)
    assert asked == [os.getpid()]


def test_a_process_that_hangs_up_halfway_is_an_error(answering: Answering) -> None:
    with pytest.raises(ConnectionResetError):
        decode(LINK, converse(answering([OWN + PEER_A]), believe))


def test_a_process_that_keeps_silent_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(userspace, "PATIENCE_S", 0.01)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "wg0.sock"))
        silent.listen()
        with pytest.raises(TimeoutError):
            decode(LINK, converse(tmp_path / "wg0.sock", believe))


def test_an_error_of_the_process_is_an_error(answering: Answering) -> None:
    with pytest.raises(OSError, match="refused to tell") as caught:
        decode(LINK, converse(answering([OWN, "errno=-5\n\n"]), believe))
    assert caught.value.errno == 5


Digest = Callable[[str], bytes]


@pytest.fixture
def of(answering: Answering) -> Digest:
    """The digest of an answer."""
    return lambda text: essence(answering([text + END]), believe).digest


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("192.0.2.7:51821", "[2001:db8::9]:1"),
        ("last_handshake_time_sec=1700000000", "last_handshake_time_sec=1700000120"),
        ("rx_bytes=1099511627776", "rx_bytes=0"),
        ("tx_bytes=3", "tx_bytes=4"),
        ("interval=25", "interval=0"),
    ],
)
def test_the_digest_stays_when_a_peer_moves_and_speaks(before: str, after: str, of: Digest) -> None:
    assert before in PEER_A
    assert of(OWN + PEER_A.replace(before, after)) == of(OWN + PEER_A)


def test_the_digest_does_not_depend_on_the_order_of_peers(of: Digest) -> None:
    assert of(OWN + PEER_A + PEER_B) == of(OWN + PEER_B + PEER_A)


@pytest.mark.parametrize(
    "other",
    [
        OWN + PEER_A,
        OWN.replace(PRIVATE_KEY, PRESHARED_KEY) + PEER_A + PEER_B,
        OWN + PEER_A.replace(A, "cc" * 32) + PEER_B,
        OWN + PEER_A.replace("::2/128", "::2/127") + PEER_B,
        OWN + PEER_A.replace("allowed_ip=10.8.0.2/32\n", "") + PEER_B + "allowed_ip=10.8.0.2/32\n",
    ],
    ids=["a peer less", "own key", "a key", "a prefix length", "a prefix moved"],
)
def test_the_digest_changes_with_a_key_or_an_allowed_ip(other: str, of: Digest) -> None:
    assert of(other) != of(OWN + PEER_A + PEER_B)


def test_the_essence_is_of_the_same_device(answering: Answering) -> None:
    text = OWN + PEER_B + PEER_A + END
    whole = decode(LINK, converse(answering([text]), believe))
    part = essence(answering(text), believe).device(LINK)  # in single letters
    assert part.public_key == whole.public_key
    assert [(each.public_key, each.allowed_ips) for each in part.peers] == [
        (each.public_key, each.allowed_ips) for each in whole.peers
    ]


def test_an_essence_holds_no_secret(answering: Answering) -> None:
    found = pickle.dumps(essence(answering([OWN + PEER_A + END]), believe))
    for secret in (PRIVATE_KEY, PRESHARED_KEY):
        assert secret.encode() not in found
        assert bytes.fromhex(secret) not in found


@pytest.mark.parametrize("answer", [[OWN + PEER_A], [OWN, "errno=-5\n\n"]])
def test_there_is_no_essence_of_half_an_answer_or_of_a_refusal(
    answering: Answering, answer: list[str]
) -> None:
    with pytest.raises(OSError, match=r"hung up|refused to tell"):
        essence(answering(answer), believe)


@pytest.mark.parametrize("line", ["allowed_ip=10.8.0.2/32", "rx_bytes=1", f"seal={A}"])
def test_what_is_said_of_a_peer_before_there_is_one_is_refused(line: str) -> None:
    what, _, value = line.partition("=")
    with pytest.raises(ValueError, match="before any peer"):
        decode(LINK, [(what, value)])


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("own_key", "aa" * 31),
        ("public_key", "aa" * 33),
        ("listen_port", "65536"),
        ("listen_port", "-1"),
        ("fwmark", "0x100000000"),
        ("rx_bytes", "-1"),
        ("last_handshake_time_sec", str(1 << 64)),
        ("persistent_keepalive_interval", "65536"),
    ],
)
def test_what_no_field_can_hold_is_refused(what: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"out of range|a key of"):
        decode(LINK, [("public_key", A), (what, value)])


def test_an_answer_that_no_wireguard_gives_is_refused_with_the_mend(
    answering: Answering,
) -> None:
    path = answering([f"{OWN}allowed_ip=10.8.0.2/32\n{END}"])
    refusal = pytest.raises(SystemRefused, match="answers what no WireGuard says")
    with refusal as refused, answered(LINK, path):
        decode(LINK, converse(path, believe))
    assert str(path) in refused.value.hint
