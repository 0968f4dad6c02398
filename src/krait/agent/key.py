# SPDX-License-Identifier: Apache-2.0
"""This machine's WireGuard key: made once, kept in a file of its owner's alone, never shown.

No error here quotes what it read. A key file is never overwritten: the other nodes know the public
key that belongs to it, and a lost private key cannot be had again.
"""

import binascii
import os
import re
import stat
import tempfile
from base64 import b64decode, b64encode
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from krait.common.errors import SystemRefused, UsageError
from krait.kernel.files import located, read_located, sync_folder, writing
from krait.kernel.wireguard.x25519 import public_key

_BYTES = 32
_MOST_BYTES = 4096
"""Of a key file; one has 45."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_SETTING = re.compile(
    rb"^[ \t]*PrivateKey[ \t]*=[ \t]*([^ \t\r\n#]*)", re.MULTILINE | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """An X25519 private key, 32 bytes; its text in any message is without them."""

    secret: bytes = field(repr=False)

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes. Takes milliseconds: ask once."""
        return public_key(self.secret)


def generate() -> PrivateKey:
    """A new one, clamped as RFC 7748 section 5 wants it, so that other tools print it alike."""
    scalar = bytearray(os.urandom(_BYTES))
    scalar[0] &= 248
    scalar[31] = scalar[31] & 127 | 64
    return PrivateKey(bytes(scalar))


def parse(content: bytes) -> PrivateKey:
    """What `wg genkey` prints, or a wg-quick configuration that holds it. Raises UsageError."""
    found = _SETTING.findall(content) or [content.strip()]
    try:
        secret = b64decode(found[0], validate=True) if len(found) == 1 else b""
    except binascii.Error:
        secret = b""
    if len(secret) != _BYTES or not any(secret):
        raise UsageError(
            "this is no WireGuard private key",
            hint="it is the 44 characters that `wg genkey` or `wg show wg0 private-key` print, or "
            "a wg-quick file with one PrivateKey",
        )
    return PrivateKey(secret)


def read(path: Path) -> PrivateKey | None:
    """The key in a file; None where there is no file.

    Raises UsageError where it holds no key or where others than this user may read or change it,
    SystemRefused where it cannot be read.
    """
    try:
        with located(path) as file:
            _require_own(path, os.fstat(file))
            content = read_located(file, _MOST_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SystemRefused(f"cannot read {path}: {error.strerror}", hint="run as root") from error
    try:
        return parse(content)
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", hint=error.hint) from None


def require(path: Path, interface: str) -> PrivateKey:
    """The key of an interface, which must be there. Raises as `read` does."""
    found = read(path)
    if found is None:
        raise UsageError(
            f"there is no private key {path}", hint=f"make one: krait genkey {interface}"
        )
    return found


def _require_own(path: Path, about: os.stat_result) -> None:
    if not stat.S_ISREG(about.st_mode):
        raise UsageError(f"{path} is no file", hint="move it away, and run this again")
    if about.st_uid != os.geteuid():
        raise UsageError(
            f"{path} belongs to user {about.st_uid}, who knows the key then",
            hint=f"if that is right: chown {os.geteuid()} {path}",
        )
    if about.st_mode & _OTHERS:
        raise UsageError(
            f"{path} has the mode {stat.S_IMODE(about.st_mode):04o}: others may read the key",
            hint=f"if nobody did: chmod 600 {path}",
        )


def make(path: Path) -> tuple[PrivateKey, bool]:
    """The key in a file, and whether it was made now. Raises as `read` and `keep` do."""
    while (there := read(path)) is None:
        key = generate()
        if _put(path, key):  # if not, another process was faster
            return key, True
    return there, False


def keep(path: Path, key: PrivateKey) -> bool:
    """Write a key to its file, on the disk when this returns; whether it was not there yet.

    Raises UsageError where the file holds another, or its folder is for others to write;
    SystemRefused where it cannot be written.
    """
    if _put(path, key):
        return True
    if read(path) != key:
        raise UsageError(
            f"{path} holds another key already",
            hint="other nodes may know this machine by it; if not, move the file away",
        )
    return False


def _put(path: Path, key: PrivateKey) -> bool:
    folder = path.parent
    with writing(path):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & _OTHERS_WRITE:
            raise UsageError(f"others may write to {folder}", hint=f"chmod go-w {folder}")
        return _create(path, b64encode(key.secret) + b"\n")


def _create(path: Path, content: bytes) -> bool:
    """Make a file as a whole, with mode 0600; False where there is one. Raises OSError."""
    file, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(file, "wb") as writer:
            writer.write(content)
            writer.flush()
            os.fsync(file)
        path.hardlink_to(temporary)  # unlike a rename, it never replaces
    except FileExistsError:
        return False
    finally:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
    sync_folder(path.parent)
    return True
