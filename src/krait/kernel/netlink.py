# SPDX-License-Identifier: Apache-2.0
"""Netlink messages, packed by hand: what WireGuard, links and classifiers share.

Written here instead of taken from pyroute2, whose import costs 0.25 s and 16 MiB and whose decoder
takes 1.3 s for a WireGuard device of 10,000 peers (here 0.15 s). Numbers and layouts are those of
include/uapi/linux/{netlink,genetlink}.h; everything is in host byte order unless its name says so.
"""

import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ENOENT, EPERM
from itertools import count
from struct import Struct
from struct import error as wrong_size
from typing import Self, TypeVar

from krait.common.errors import SystemRefused

ROUTE = socket.NETLINK_ROUTE
GENERIC = 16  # NETLINK_GENERIC

REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
REPLACE, EXCLUSIVE, CREATE = 0x100, 0x200, 0x400

_MULTI, _DUMP_INTERRUPTED = 0x2, 0x10
_CAPPED, _HAS_TEXT = 0x100, 0x200
_NOOP, _ERROR, _DONE = 1, 2, 3
_MAX_ERRNO = 4095  # include/linux/err.h

_BATCH = 128
"""Requests a send: as many refusals, some 800 bytes of memory each, fit a receive buffer of
net.core.rmem_default, so that none is lost."""

_SOL_NETLINK, _CAP_ACK, _EXT_ACK, _STRICT = 270, 10, 11, 12

_CONTROL_FAMILY, _GET_FAMILY, _FAMILY_ID, _FAMILY_NAME = 0x10, 3, 1, 2
_ERROR_TEXT = 1  # NLMSGERR_ATTR_MSG

BUFFER_BYTES = 1 << 16
"""More than a dump (at most 32 KiB a read) or a notification of the kernel ever fills."""

HEADER = Struct("=IHHII")  # length, type, flags, sequence, port
ATTRIBUTE = Struct("=HH")  # length, type
GENERIC_HEADER = Struct("=BBH")  # command, version, zero
U16, U32, U64 = Struct("=H"), Struct("=I"), Struct("=Q")
_I32 = Struct("=i")

NESTED, _TYPE_MASK = 0x8000, 0x3FFF

_T = TypeVar("_T")


class DumpInterrupted(Exception):
    """What was dumped changed meanwhile, so its parts may not fit together."""


@dataclass(frozen=True, slots=True)
class Request:
    """One change out of many, see `Netlink.batch`."""

    kind: int
    body: bytes
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the kernel; `body` is a view that is valid until the next one is asked for."""

    kind: int
    flags: int
    sequence: int
    body: memoryview


def attribute(kind: int, payload: bytes) -> bytes:
    """A packed attribute, padded to four bytes."""
    length = ATTRIBUTE.size + len(payload)
    return ATTRIBUTE.pack(length, kind) + payload + bytes(-length % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | NESTED, b"".join(attributes))


def text(kind: int, value: str) -> bytes:
    """An attribute that holds a NUL-terminated string."""
    return attribute(kind, os.fsencode(value) + b"\0")


def attributes(body: memoryview, at: int = 0) -> Iterator[tuple[int, memoryview]]:
    """Each attribute's type and payload, in order. Raises ValueError if one is cut short."""
    end = len(body)
    while end - at >= ATTRIBUTE.size:
        length, kind = ATTRIBUTE.unpack_from(body, at)
        if not ATTRIBUTE.size <= length <= end - at:
            raise ValueError(f"netlink attribute of {length} bytes where {end - at} are left")
        yield kind & _TYPE_MASK, body[at + ATTRIBUTE.size : at + length]
        at += length + 3 & ~3


@contextmanager
def whole(what: str) -> Iterator[None]:
    """For a decoder: an attribute that is missing or of the wrong size is a ValueError as well."""
    try:
        yield
    except (wrong_size, LookupError) as error:
        raise ValueError(f"{what} lacks a part: {error!r}") from error


def string(payload: memoryview) -> str:
    """The text of a string attribute."""
    return os.fsdecode(bytes(payload).partition(b"\0")[0])


def messages(received: memoryview) -> Iterator[Message]:
    """The messages of one read. Raises ValueError if one is cut short."""
    at, end = 0, len(received)
    while end - at >= HEADER.size:
        length, kind, flags, sequence, _ = HEADER.unpack_from(received, at)
        if not HEADER.size <= length <= end - at:
            raise ValueError(f"netlink message of {length} bytes where {end - at} are left")
        yield Message(kind, flags, sequence, received[at + HEADER.size : at + length])
        at += length + 3 & ~3


class Netlink:
    """A socket to the kernel for questions and changes; a context that closes it.

    What was read is overwritten on the way out: dumps of WireGuard carry keys. What is sent is not
    copied, so that who packs a key can overwrite it.
    """

    def __init__(self, protocol: int = ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        for option in (_CAP_ACK, _EXT_ACK, _STRICT):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._socket.bind((0, 0))
        self._sequence = count(1)
        self._buffer = memoryview(bytearray(BUFFER_BYTES))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._buffer[:] = bytes(BUFFER_BYTES)
        self._socket.close()

    def ask(self, kind: int, body: bytes | memoryview, flags: int = ACK) -> Iterator[Message]:
        """The kernel's replies; OSError says what it refused, in its own words where it has some.

        Raises DumpInterrupted at the end of a dump that changed on the way (see `consistent`).
        """
        sequence = next(self._sequence)
        length = HEADER.size + len(body)
        header = HEADER.pack(length, kind, REQUEST | flags, sequence, 0)
        self._socket.sendmsg([header, body], [], 0, (0, 0))
        interrupted = False
        while True:
            for message in self._receive():
                if message.sequence != sequence:
                    continue
                interrupted |= bool(message.flags & _DUMP_INTERRUPTED)
                if message.kind in (_ERROR, _DONE):
                    if error := refusal(message):
                        raise error
                    if interrupted:
                        raise DumpInterrupted
                    return
                if message.kind != _NOOP:
                    yield message

    def tell(self, kind: int, body: bytes | memoryview, flags: int = 0) -> None:
        """Make a change and wait until the kernel has made it; OSError says what it refused."""
        for _ in self.ask(kind, body, flags | ACK):
            pass

    def batch(self, requests: Sequence[Request]) -> Mapping[int, OSError]:
        """Make all changes, in order; what the kernel refused, by its place in `requests`.

        A refusal does not keep the kernel from the changes after it. Raises OSError if it takes no
        messages at all.
        """
        refusals: dict[int, OSError] = {}
        for start in range(0, len(requests), _BATCH):
            some = requests[start : start + _BATCH]
            refusals |= {start + place: error for place, error in self._send(some)}
        return refusals

    def _send(self, requests: Sequence[Request]) -> Iterator[tuple[int, OSError]]:
        # The kernel works through one send in order and answers each failure, asked to or not: an
        # acknowledgement of the last is one of all.
        sequences = {next(self._sequence): place for place in range(len(requests))}
        last = len(requests) - 1
        packed = bytearray()
        for sequence, place in sequences.items():
            each = requests[place]
            flags = REQUEST | each.flags | (ACK if place == last else 0)
            packed += HEADER.pack(HEADER.size + len(each.body), each.kind, flags, sequence, 0)
            packed += each.body + bytes(-len(each.body) % 4)
        self._socket.sendto(packed, (0, 0))
        place = -1
        while place != last:
            for message in self._receive():
                place = sequences.get(message.sequence, place)
                if message.sequence in sequences and (error := refusal(message)):
                    yield place, error

    def _receive(self) -> Iterator[Message]:
        """The messages of one read, none if another process than the kernel sent them."""
        size, (sender, _) = self._socket.recvfrom_into(self._buffer)
        return messages(self._buffer[: size if sender == 0 else 0])

    def family(self, name: str) -> int | None:
        """The number of a generic netlink family, None if the kernel has none of that name.

        The kernel itself loads the family's module for this question, if it has one.
        """
        body = GENERIC_HEADER.pack(_GET_FAMILY, 1, 0) + text(_FAMILY_NAME, name)
        number = None
        try:
            for message in self.ask(_CONTROL_FAMILY, body):
                number = decode_family(message.body)
        except OSError as error:
            if error.errno != ENOENT:
                raise
        return number


@whole("a generic netlink family")
def decode_family(body: memoryview) -> int:
    """The number of a family. Raises ValueError if the message lacks it, or it can be none."""
    number = int(U16.unpack(dict(attributes(body, GENERIC_HEADER.size))[_FAMILY_ID])[0])
    if number < _CONTROL_FAMILY:  # below are netlink's own kinds of messages
        raise ValueError(f"a generic netlink family of number {number}")
    return number


@whole("a netlink answer")
def refusal(message: Message) -> OSError | None:
    """What an error message or the end of a dump says; None for an acknowledgement.

    Raises ValueError for what says neither.
    """
    (code,) = _I32.unpack_from(message.body)
    if code == 0:
        return None
    if not -_MAX_ERRNO <= code < 0:
        raise ValueError(f"a netlink error of number {-code}")
    words = ""
    if message.flags & _HAS_TEXT:
        # An error repeats the header of the question before its attributes; the end of a dump
        # does not.
        start = _I32.size + (HEADER.size if message.kind == _ERROR else 0)
        words = string(dict(attributes(message.body, start)).get(_ERROR_TEXT, memoryview(b"")))
    return OSError(-code, words or os.strerror(-code))


def consistent(look: Callable[[], _T], attempts: int = 10) -> _T:
    """What `look` sees when no dump in it was interrupted by a change."""
    for _ in range(attempts):
        try:
            return look()
        except DumpInterrupted:
            continue
    raise SystemRefused(
        f"the kernel's state changed during each of {attempts} looks",
        hint="Something reconfigures the interface without pause; find it and try again.",
    )


def refused(doing: str, error: OSError | ValueError) -> SystemRefused:
    """An error for people out of the kernel's answer, such as `cannot attach to wg0: …`.

    A ValueError is a decoder's: the answer is none that it knows.
    """
    if isinstance(error, ValueError):
        return SystemRefused(
            f"{doing}: the kernel answers what cannot be read: {error}",
            hint="This is a fault of Krait's, or of the kernel's: report it with `uname -r`.",
        )
    hint = "Run as root, or with CAP_NET_ADMIN." if error.errno == EPERM else ""
    return SystemRefused(f"{doing}: {error.strerror}", hint=hint)
