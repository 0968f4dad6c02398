# SPDX-License-Identifier: Apache-2.0
"""Where an agent's files and pins are. Everything but the interface's name is a default.

Interfaces of one name may be in several network namespaces of one machine, whose files share their
folders. So all but sockets goes by the name of the *instance*: `blue:wg0` in a namespace that
`ip netns` calls blue, else `wg0`. No interface has a colon in its name (docs/adr/0017).
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

from krait.kernel import netns
from krait.kernel.bpf.mount import BPFFS, Hidden, for_first_process, is_private, require_bpffs
from krait.kernel.bpf.pin import escape, is_interface, require_interface, unescape
from krait.kernel.claim import owners
from krait.kernel.files import require_writable
from krait.kernel.wireguard.userspace import FOLDER


class Instance(NamedTuple):
    """An interface of a network namespace, by their names; that of a namespace may be empty."""

    namespace: str
    interface: str

    def __str__(self) -> str:
        return f"{self.namespace}:{self.interface}" if self.namespace else self.interface


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders that Krait uses, and the network namespace whose interfaces they are asked for.

    `Paths.here()` is for the namespace of this process; `Paths()` for one without a name.
    """

    pins: Path = BPFFS / "krait"
    state: Path = Path("/var/lib/krait")
    run: Path = Path("/run/krait")
    config: Path = Path("/etc/krait")
    logs: Path = Path("/var/log/krait")
    sockets: Path = FOLDER
    namespace: str = ""

    @classmethod
    def here(cls, *, pins: Path = BPFFS / "krait", named: Path = netns.NAMED) -> Self:
        """Those of this process's network namespace; `named` is where names are given.

        A name that came or went while Krait is on an interface counts only once Krait is off: under
        another one its pins would not be found.
        """
        known: tuple[Instance, ...] = ()
        with suppress(PermissionError):  # who may not look at pins cannot change what they hold
            known = cls(pins=pins).claimed()
        names = (each.namespace for each in known)
        return cls(pins=pins, namespace=min(names, default=netns.name(named)))

    def require(self) -> None:
        """Raise SystemRefused unless the folders of run, state and pins can be written."""
        for folder in (self.run, self.state, self.pins):
            require_writable(folder)
        self.require_seen()

    def require_seen(self) -> None:
        """Raise SystemRefused where pins of this network namespace would not be seen."""
        require_bpffs(self.pins)
        if not is_private(self.pins) or self.claimed():
            return
        with suppress(PermissionError):
            if hidden := replace(self, pins=for_first_process(self.pins)).claimed():
                raise Hidden(
                    f"what Krait pinned for {hidden[0].interface} is on another bpf file system "
                    f"than {self.pins.parent} is here"
                )

    def claimed(self) -> tuple[Instance, ...]:
        """All that have pins of this network namespace, whatever it was called then."""
        here = netns.cookie()
        return tuple(each for each in self.instances() if here in owners(self.pins_at(each)))

    def instances(self) -> tuple[Instance, ...]:
        """All that have pins, of every network namespace, whether or not they exist."""
        if not self.pins.is_dir():
            return ()
        names = (unescape(each.name) for each in self.pins.iterdir() if each.is_dir())
        return tuple(sorted(each for each in map(_instance, names) if is_interface(each.interface)))

    def ordered(self) -> tuple[Instance, ...]:
        """All that `krait up` is to make, of every network namespace."""
        names = [each.stem for each in self.state.glob("*.up")] if self.state.is_dir() else []
        return tuple(sorted(each for each in map(_instance, names) if is_interface(each.interface)))

    def pins_at(self, instance: Instance) -> Path:
        """The folder of an instance, of whichever network namespace, on the bpf file system."""
        require_interface(instance.interface)
        return self.pins / escape(str(instance))

    def pins_of(self, interface: str) -> Path:
        """The interface's folder on the bpf file system."""
        return self.pins_at(self.instance_of(interface))

    def state_of(self, interface: str) -> Path:
        """What was committed, for whoever comes after a crash."""
        return self.state / f"{self.instance_of(interface)}.json"

    def kept_of(self, interface: str) -> Path:
        """The document that was put in force last, word for word."""
        return self.state / f"{self.instance_of(interface)}.yaml"

    def key_of(self, interface: str) -> Path:
        """The private key of an interface that Krait makes."""
        return self.state / f"{self.instance_of(interface)}.key"

    def orders_of(self, interface: str) -> Path:
        """What `krait up` left for the agent to do."""
        return self.state / f"{self.instance_of(interface)}.up"

    def trial_of(self, interface: str) -> Path:
        """What to go back to, and when, unless somebody confirms."""
        return self.state / f"{self.instance_of(interface)}.trial"

    def turn_of(self, interface: str) -> Path:
        """Held by a command that starts or ends agents: one at a time."""
        return self.run / f"{self.instance_of(interface)}.turn"

    def ready_of(self, interface: str) -> Path:
        """A socket: where an agent that a command starts says that it is ready."""
        return self.run / f"{self.instance_of(interface)}.ready"

    def live_of(self, interface: str) -> Path:
        """What the agent that lives says of itself."""
        return self.run / f"{self.instance_of(interface)}.json"

    def lock_of(self, interface: str) -> Path:
        """Held by the agent, or by `detach`."""
        return self.run / f"{self.instance_of(interface)}.lock"

    def log_of(self, interface: str) -> Path:
        """What an agent tells that has no terminal and no service manager."""
        return self.logs / f"{self.instance_of(interface)}.log"

    def configs_of(self, interface: str) -> tuple[Path, ...]:
        """Where a document is looked for, in this order."""
        names = dict.fromkeys((str(self.instance_of(interface)), interface, "krait"))
        return tuple(self.config / f"{name}.yaml" for name in names)

    def shadow_of(self, interface: str) -> Path:
        """A document to rehearse beside the one in force."""
        return self.config / f"{self.instance_of(interface)}.shadow.yaml"

    @property
    def any_config(self) -> Path:
        """The document of an interface that has none of its own."""
        return self.config / "krait.yaml"

    def instance_of(self, interface: str) -> Instance:
        """What all of these go by. Raises UsageError if it is no name: it becomes one of files."""
        require_interface(interface)
        return Instance(self.namespace, interface)


def _instance(name: str) -> Instance:
    namespace, _, interface = name.rpartition(":")
    return Instance(namespace, interface)
