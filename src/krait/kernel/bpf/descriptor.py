# SPDX-License-Identifier: Apache-2.0
"""A kernel object held by its file descriptor."""

import os
from pathlib import Path
from typing import ClassVar, Self

from krait.kernel.bpf import pin
from krait.kernel.bpf.pin import Kind


class Descriptor:
    """Owns a descriptor: closes it once, by close() or at the end of a `with` block.

    The object itself lives on while a pin, a program or another process holds it.
    """

    kind: ClassVar[Kind]

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def open_pinned(cls, path: Path) -> Self:
        """What is pinned there. Raises BpfRefused, or WrongKind for a pin of another kind."""
        return cls(pin.open_pinned(path, cls.kind))

    @property
    def fd(self) -> int:
        """The descriptor; -1, which the kernel refuses, once closed."""
        return self._fd

    def duplicate(self) -> Self:
        """A descriptor of its own for the same object."""
        return type(self)(os.dup(self._fd))

    def pin(self, path: Path) -> None:
        """Keep the object beyond this process. Raises BpfRefused where something has that name."""
        pin.pin(self._fd, path)

    def close(self) -> None:
        """May be repeated; the object ends with its last holder, often another."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
