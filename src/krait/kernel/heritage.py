# SPDX-License-Identifier: Apache-2.0
"""What can be gone on with of a load of another version's layout: its flows, and its revision.

Its folder holds maps by the names that they always had. `shape` is the first thing to read, of
which every version has the beginning; where that tells the flows' version of this one, the tables
of flows and the control word are as this one has them.
"""

from contextlib import ExitStack, suppress
from pathlib import Path

from krait.common import abi, structs
from krait.kernel.bpf.errors import BpfRefused
from krait.kernel.bpf.map import Map
from krait.kernel.bpf.pin import WrongKind

_FLOWS = ("flows", "unanswered")
_KEY = bytes(4)


class Heritage:
    """The maps of another version's load that this one can read. Close it."""

    def __init__(self, flows: dict[str, Map], revision: int) -> None:
        self.flows = flows
        self.revision = revision

    @classmethod
    def of(cls, directory: Path) -> "Heritage | None":
        """None where its flows are another version's, or something of it is not there."""
        # ValueError: a map of another key than it had here.
        with ExitStack() as opened, suppress(BpfRefused, WrongKind, OSError, ValueError):
            shape, control = (
                opened.enter_context(Map.open_pinned(directory / name))
                for name in ("shape", "control")
            )
            if not _is_known(shape) or control.info.value_bytes != abi.CONTROL_BYTES:
                return None
            word = int.from_bytes(control.lookup(_KEY) or bytes(abi.CONTROL_BYTES), "little")
            flows = {
                name: opened.enter_context(Map.open_pinned(directory / name)) for name in _FLOWS
            }
            if any(
                (each.info.key_bytes, each.info.value_bytes)
                != (structs.FLOW_KEY.size_bytes, structs.FLOW.size_bytes)
                for each in flows.values()
            ):
                return None
            return cls({name: each.duplicate() for name, each in flows.items()}, word >> 32)
        return None

    def close(self) -> None:
        """Let the maps go."""
        for each in self.flows.values():
            each.close()


def _is_known(shape: Map) -> bool:
    """Whether it is of this version's flows; a shape without the field is older than that."""
    at, size = structs.SHAPE.offsets()["flow_version"]
    found = (shape.lookup(_KEY) or b"")[at : at + size]
    return found == abi.FLOW_VERSION.to_bytes(size, "little")
