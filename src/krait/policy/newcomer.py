# SPDX-License-Identifier: Apache-2.0
"""A node that is to be in a document, and the text of it."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass

from krait.policy.formatted import WIDTH, written
from krait.policy.model import Address


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A node to add. In ranges of the mesh where it says no address it gets the next free one."""

    name: str
    public_key: bytes  # 32 bytes
    tags: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()
    endpoint: str | None = None


def block(newcomer: Newcomer, step: int) -> Iterator[str]:
    """A line for each field, `step` spaces deeper than the name."""
    yield f"{written(newcomer.name)}:"
    for key, value in _fields(newcomer, in_line=False):
        yield f"{' ' * step}{key}: {value}"


def flow(newcomer: Newcomer) -> str:
    """All of it in one line."""
    fields = ", ".join(f"{key}: {value}" for key, value in _fields(newcomer, in_line=True))
    return f"{written(newcomer.name)}: {{{fields}}}"


def as_fmt_has_it(newcomer: Newcomer, column: int, step: int) -> Iterator[str]:
    """In one line, or where that is too long, in one for each field; all without `column`."""
    line = flow(newcomer)
    if column + len(line) <= WIDTH:
        yield line
    else:
        yield from block(newcomer, step)


def _fields(newcomer: Newcomer, *, in_line: bool) -> Iterator[tuple[str, str]]:
    """`in_line`: all in braces, where more has to be in quotes."""
    yield "public_key", written(b64encode(newcomer.public_key).decode(), in_line=in_line)
    if newcomer.tags:
        yield "tags", f"[{', '.join(map(written, newcomer.tags))}]"
    addresses = [str(each) for each in newcomer.addresses]
    if len(addresses) == 1:
        yield "address", written(addresses[0], in_line=in_line)
    elif addresses:
        yield "address", f"[{', '.join(map(written, addresses))}]"
    if newcomer.endpoint:
        yield "endpoint", written(newcomer.endpoint, in_line=in_line)
