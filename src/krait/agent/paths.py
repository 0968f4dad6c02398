# SPDX-License-Identifier: Apache-2.0
"""Where an agent's files and pins are. Everything but the interface's name is a default."""

from dataclasses import dataclass
from pathlib import Path

from krait.kernel.bpf.pin import BPFFS, escape_interface, require_bpffs
from krait.kernel.files import require_writable
from krait.kernel.wireguard.userspace import FOLDER


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders that Krait uses."""

    pins: Path = BPFFS / "krait"
    state: Path = Path("/var/lib/krait")
    run: Path = Path("/run/krait")
    config: Path = Path("/etc/krait")
    sockets: Path = FOLDER

    def require(self) -> None:
        """Raise SystemRefused unless the folders of run, state and pins can be written."""
        for folder in (self.run, self.state, self.pins):
            require_writable(folder)
        require_bpffs(self.pins)

    def pins_of(self, interface: str) -> Path:
        """The interface's folder on the bpf file system. Raises UsageError if it is no name."""
        return self.pins / escape_interface(interface)

    def state_of(self, interface: str) -> Path:
        """What was committed, for whoever comes after a crash."""
        return self.state / f"{interface}.json"

    def kept_of(self, interface: str) -> Path:
        """The document that was put in force last, word for word."""
        return self.state / f"{interface}.yaml"

    def live_of(self, interface: str) -> Path:
        """What the agent that lives says of itself."""
        return self.run / f"{interface}.json"

    def lock_of(self, interface: str) -> Path:
        """Held by the agent, or by `detach`."""
        return self.run / f"{interface}.lock"

    def configs_of(self, interface: str) -> tuple[Path, ...]:
        """Where a document is looked for, in this order."""
        return self.config / f"{interface}.yaml", self.config / "krait.yaml"
