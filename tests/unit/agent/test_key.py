# SPDX-License-Identifier: Apache-2.0
import os
import stat
import traceback
from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from krait.agent import key
from krait.agent.key import PrivateKey
from krait.common.errors import KraitError, SystemRefused, UsageError
from krait.kernel.wireguard.x25519 import public_key

SECRET = b64decode("qO2qYRtfhKsc4VbX4wkQVG8pTdJrM0wXoBqCR8Yh5Gc=")
TEXT = b64encode(SECRET) + b"\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "state" / "wg0.key"


def put(path: Path, content: bytes, mode: int = 0o600) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o022, 0o000, 0o077])
def test_a_key_is_made_for_its_owner_alone_whatever_the_umask(place: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        made, is_new = key.make(place)
    finally:
        os.umask(before)
    assert is_new
    assert (mode(place), mode(place.parent)) == (0o600, 0o700)
    assert list(place.parent.iterdir()) == [place]
    assert place.read_bytes() == b64encode(made.secret) + b"\n"


def test_a_key_is_made_once(place: Path) -> None:
    made, _ = key.make(place)
    assert key.make(place) == (made, False)
    assert key.read(place) == made


def test_two_keys_differ_and_are_clamped() -> None:
    one, other = key.generate().secret, key.generate().secret
    assert one != other
    assert (one[0] & 7, one[31] & 0xC0) == (0, 0x40)


def test_a_key_made_by_another_process_meanwhile_is_taken(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = key.generate()

    def late() -> PrivateKey:
        put(place, TEXT)
        return mine

    monkeypatch.setattr(key, "generate", late)
    assert key.make(place) == (PrivateKey(SECRET), False)
    assert list(place.parent.iterdir()) == [place]


def test_an_imported_key_is_kept_and_the_same_again_is_no_error(place: Path) -> None:
    assert key.keep(place, PrivateKey(SECRET))
    assert not key.keep(place, PrivateKey(SECRET))
    assert place.read_bytes() == TEXT
    assert mode(place) == 0o600


def test_another_key_is_never_overwritten(place: Path) -> None:
    made, _ = key.make(place)
    with pytest.raises(UsageError, match="holds another key already"):
        key.keep(place, PrivateKey(SECRET))
    assert key.read(place) == made


def test_where_there_is_no_file_there_is_no_key(place: Path) -> None:
    assert key.read(place) is None


TEXTS = {
    "as wg prints it": TEXT,
    "without a newline": TEXT.strip(),
    "wg-quick": b"[Interface]\nAddress = 10.8.0.1/24\nPrivateKey = " + TEXT + b"\n[Peer]\n",
    "wg-quick, terse": b"[interface]\r\nprivatekey=" + TEXT.strip() + b"# mine\r\n",
}


@pytest.mark.parametrize("content", TEXTS.values(), ids=TEXTS.keys())
def test_a_key_is_read_as_wireguards_tools_write_it(content: bytes) -> None:
    assert key.parse(content).secret == SECRET
    assert key.parse(content).public == public_key(SECRET)


NO_KEYS = {
    "empty": b"",
    "zeros": b64encode(bytes(32)),
    "short": b64encode(SECRET[:31]),
    "not base64": TEXT.replace(b"q", b"!"),
    "other letters": "ü".encode() + TEXT,
    "two": b"PrivateKey = " + TEXT + b"PrivateKey = " + TEXT,
    "a comment": b"# PrivateKey = " + TEXT,
    "twice on a line": TEXT.strip() + TEXT,
}


@pytest.mark.parametrize("content", NO_KEYS.values(), ids=NO_KEYS.keys())
def test_what_is_no_key_is_refused_and_not_quoted(place: Path, content: bytes) -> None:
    put(place, content)
    with pytest.raises(UsageError, match="this is no WireGuard private key") as caught:
        key.read(place)
    assert_silent(caught.value, str(caught.getrepr()))


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o601])
def test_a_key_that_others_may_read_is_refused(place: Path, bits: int) -> None:
    put(place, TEXT, bits)
    with pytest.raises(UsageError, match=f"has the mode {bits:04o}") as caught:
        key.read(place)
    assert f"chmod 600 {place}" in caught.value.hint


def test_a_key_of_another_user_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(place, TEXT)
    owner = place.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(UsageError, match=f"belongs to user {owner}"):
        key.read(place)


def test_a_folder_or_a_pipe_is_no_key_and_is_not_waited_for(place: Path) -> None:
    place.mkdir(parents=True)
    with pytest.raises(UsageError, match="is no file"):
        key.read(place)
    place.rmdir()
    os.mkfifo(place, 0o600)
    with pytest.raises(UsageError, match="is no file"):
        key.read(place)


def test_what_is_no_key_file_is_judged_before_it_is_opened(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    really = os.open

    def opened(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        asked.append(flags & os.O_PATH)
        return really(path, flags, mode, dir_fd=dir_fd)

    put(place, TEXT, 0o644)
    monkeypatch.setattr(os, "open", opened)
    for path in (Path("/dev/ptmx"), place):
        with pytest.raises(UsageError):
            key.read(path)
    assert asked == [os.O_PATH, os.O_PATH]


def test_no_key_is_written_where_others_may_replace_it(place: Path) -> None:
    place.parent.mkdir()
    place.parent.chmod(0o777)
    with pytest.raises(UsageError, match="others may write to"):
        key.make(place)
    assert list(place.parent.iterdir()) == []


def test_where_no_folder_can_be_the_system_refuses(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(SystemRefused):
        key.make(tmp_path / "state" / "wg0.key")


def test_a_crash_before_the_end_leaves_no_half_key(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SystemRefused, match="No space left") as caught:
        key.keep(place, PrivateKey(SECRET))
    assert list(place.parent.iterdir()) == []
    assert_silent(caught.value, str(caught.getrepr()))


def test_a_key_does_not_show_itself() -> None:
    shown = PrivateKey(SECRET)
    for text in (repr(shown), str(shown), f"{shown}", repr([shown])):
        assert_silent(None, text)


def assert_silent(error: KraitError | None, *texts: str) -> None:
    """Nothing of the secret is in what the error says, nor in its traceback."""
    told = [*texts]
    if error:
        told += [error.message, error.hint, repr(error), *traceback.format_exception(error)]
    for text in told:
        for form in (SECRET.hex(), repr(SECRET), TEXT.decode().strip(), TEXT.decode()[4:40]):
            assert form not in text
