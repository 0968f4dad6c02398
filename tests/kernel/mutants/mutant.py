# SPDX-License-Identifier: Apache-2.0
"""A fault that somebody could make in ebpf/."""

from dataclasses import dataclass
from pathlib import Path

EBPF = Path(__file__).parents[3] / "ebpf"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One text of a file of ebpf/, and what stands there instead."""

    name: str
    file: str
    old: str
    new: str
    quick: bool = False
    """A few hundred packets find it: every run of the tests looks for it."""

    def apply(self, ebpf: Path) -> None:
        """Change the copy of ebpf/ at this path."""
        file = ebpf / self.file
        text = file.read_text()
        found = text.count(self.old)
        assert found == 1, (
            f"mutant {self.name!r}: ebpf/{self.file} holds its text {found} times, not once; the "
            f"code moved on: bring its table in tests/kernel/mutants up to date.\n{self.old}"
        )
        file.write_text(text.replace(self.old, self.new))
