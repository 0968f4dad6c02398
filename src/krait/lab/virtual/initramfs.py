# SPDX-License-Identifier: Apache-2.0
"""The archive that a guest's kernel starts from: busybox, the modules for its root, `init.sh`.

It is a cpio archive of the kind `newc` (Linux: Documentation/driver-api/early-userspace/
buffer-format.rst), not compressed, for an emulated processor is slow to inflate.
"""

import shlex
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from krait.lab.virtual.kernels import Kernel

PORTER = "porter"
"""An `init` that runs commands and nothing else: porter.py is PID 1."""
NONE = "none"
"""An `init` that powers the guest off as soon as it has booted."""

PORTER_PATH = Path(__file__).with_name("porter.py")

_APPLETS = (
    "sh",
    "mount",
    "mkdir",
    "insmod",
    "cp",
    "rm",
    "ln",
    "ip",
    "chroot",
    "switch_root",
    "poweroff",
)
_FOLDERS = ("bin", "dev", "proc", "host", "writes", "root", "modules", "files")
_FILE, _PROGRAM = stat.S_IFREG | 0o644, stat.S_IFREG | 0o755
_SECRET = stat.S_IFREG | 0o600
_FOLDER, _LINK = stat.S_IFDIR | 0o755, stat.S_IFLNK | 0o777


@dataclass(frozen=True, slots=True)
class Setting:
    """What a guest's root becomes, beyond the host's, and what runs there as PID 1."""

    init: str = PORTER
    """`PORTER`, `NONE`, or the path of a program, which starts porter.py in its turn."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Texts by absolute path, put on the root before `init` runs."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Files that root alone may read."""
    hidden: tuple[str, ...] = ("/var/lib/krait", "/etc/krait")
    """Folders that are empty in the guest."""


def initramfs(kernel: Kernel, name: str, setting: Setting) -> bytes:
    """The whole archive, for a machine of that name."""
    settings = {
        "NAME": name,
        "INIT": setting.init,
        "HIDDEN": " ".join(setting.hidden),
        "MODULES": str(kernel.modules),
        "PYTHON": sys.executable,
        "PORTER_PATH": str(PORTER_PATH),
    }
    entries = [*_base(kernel), ("settings", _FILE, _assignments(settings))]
    entries += _tree(setting.files, _FILE)
    entries += _tree(setting.secrets, _SECRET)
    parts = [_entry(*entry) for entry in [*entries, ("TRAILER!!!", 0, b"")]]
    return b"".join(parts)


def _base(kernel: Kernel) -> Iterator[tuple[str, int, bytes]]:
    yield from ((folder, _FOLDER, b"") for folder in _FOLDERS)
    yield "bin/busybox", _PROGRAM, kernel.busybox.read_bytes()
    yield from ((f"bin/{applet}", _LINK, b"busybox") for applet in _APPLETS)
    yield "init", _PROGRAM, Path(__file__).with_name("init.sh").read_bytes()
    yield from ((f"modules/{module.name}", _FILE, module.read_bytes()) for module in kernel.early)


def _tree(files: Mapping[str, str], mode: int) -> Iterator[tuple[str, int, bytes]]:
    folders = {parent for path in files for parent in Path(path).parents if parent.name}
    yield from ((f"files{folder}", _FOLDER, b"") for folder in sorted(folders))
    yield from ((f"files{path}", mode, text.encode()) for path, text in files.items())


def _assignments(settings: Mapping[str, str]) -> bytes:
    return "".join(f"{key}={shlex.quote(value)}\n" for key, value in settings.items()).encode()


def _entry(path: str, mode: int, content: bytes) -> bytes:
    name = path.encode() + b"\0"
    numbers = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % number for number in numbers)
    return _padded(header + name) + _padded(content)


def _padded(part: bytes) -> bytes:
    return part + b"\0" * (-len(part) % 4)
