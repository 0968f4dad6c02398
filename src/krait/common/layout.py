# SPDX-License-Identifier: Apache-2.0
"""A C struct as Python sees it: how its bytes are packed, and what its BTF is to say of it."""

from dataclasses import dataclass
from functools import cached_property
from struct import Struct


@dataclass(frozen=True)
class Layout:
    """A C struct: its tag and its members in order, each with a `struct` format.

    A format is one letter, or a count and a letter for an array (`2Q`); no padding is implied.
    """

    tag: str
    members: tuple[tuple[str, str], ...]

    @cached_property
    def codec(self) -> Struct:
        """Packs the members in order; arrays take one argument for each element."""
        return Struct("<" + "".join(fmt for _, fmt in self.members))

    @property
    def size_bytes(self) -> int:
        """Of the whole struct in the kernel: the members leave no holes."""
        return self.codec.size

    def offsets(self) -> dict[str, tuple[int, int]]:
        """Each member's (offset, size) in bytes."""
        found, at = {}, 0
        for name, fmt in self.members:
            size = Struct("<" + fmt).size
            found[name] = (at, size)
            at += size
        return found
