# SPDX-License-Identifier: Apache-2.0
"""A node that is to be in a document, and the text of it."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass

from krait.policy.formatted import written
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
    yield from (f"{' ' * step}{key}: {value}" for key, value in _fields(newcomer))


def flow(newcomer: Newcomer) -> str:
    """All of it in one line."""
    fields = ", ".join(f"{key}: {value}" for key, value in _fields(newcomer))
    return f"{written(newcomer.name)}: {{{fields}}}"


def _fields(newcomer: Newcomer) -> Iterator[tuple[str, str]]:
    yield "public_key", written(b64encode(newcomer.public_key).decode())
    if newcomer.tags:
        yield "tags", f"[{', '.join(map(written, newcomer.tags))}]"
    addresses = [written(str(each)) for each in newcomer.addresses]
    if addresses:
        yield "address", addresses[0] if len(addresses) == 1 else f"[{', '.join(addresses)}]"
    if newcomer.endpoint:
        yield "endpoint", written(newcomer.endpoint)
