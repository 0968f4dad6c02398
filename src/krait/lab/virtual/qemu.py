# SPDX-License-Identifier: Apache-2.0
"""QEMU's command line for a guest, and with which accelerator this host can run it."""

import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zlib import crc32

from krait.lab.virtual.initramfs import NONE, Setting, initramfs
from krait.lab.virtual.kernels import Kernel, tool
from krait.lab.virtual.porter import PORT

ROOT_SOCKET, PORT_SOCKET, ARCHIVE = "/run/host", "/run/port", "/run/initramfs"
"""Where a guest's parts meet, on the /run of the namespaces that it stands in."""
TAP = "tap0"

_MACHINE = "q35,usb=off,vmport=off,sata=off,smbus=off"
_EMULATED, _REAL = ("tcg,thread=multi", "max"), ("kvm", "host")
_PROBE_S = 2.0
# A guest that oopses ends, and says so by its end.
_APPEND = "console=ttyS0 quiet loglevel=4 oops=panic panic=-1 reboot=t tsc=reliable"
_APPEND += " mitigations=off random.trust_cpu=on rdinit=/init"


@dataclass(frozen=True, slots=True)
class Board:
    """What a guest has of everything."""

    memory_mib: int = 512
    processors: int = 1


def qemu(kernel: Kernel, name: str, board: Board, append: str = "") -> list[str]:
    """The command that boots a guest; its console is standard output.

    It wants virtiofsd at `ROOT_SOCKET`, the archive at `ARCHIVE` and the tap device `TAP`, and
    listens for the driver at `PORT_SOCKET`.
    """
    memory = f"memory-backend-memfd,id=memory,size={board.memory_mib}M,share=on"
    address = crc32(name.encode()).to_bytes(4)[:3].hex(":")
    return [
        *_common(kernel, ARCHIVE, accelerator(kernel), append),
        *("-m", f"{board.memory_mib}", "-smp", f"{board.processors}"),
        *("-object", memory, "-numa", "node,memdev=memory"),
        *("-chardev", f"socket,id=root,path={ROOT_SOCKET}"),
        *("-device", "vhost-user-fs-pci,chardev=root,tag=host,queue-size=1024"),
        *("-device", "virtio-serial-pci"),
        *("-chardev", f"socket,id=port,path={PORT_SOCKET},server=on,wait=off"),
        *("-device", f"virtserialport,chardev=port,name={PORT}"),
        *("-netdev", f"tap,id=uplink,ifname={TAP},script=no,downscript=no"),
        *("-device", f"virtio-net-pci,netdev=uplink,mac=52:54:00:{address},romfile="),
    ]


def virtiofsd() -> list[str]:
    """The command that shares the host's root with a guest, at `ROOT_SOCKET`."""
    options = ["source=/", "cache=always", "sandbox=chroot", "log_level=err", "xattr"]
    return [
        tool("virtiofsd"),
        f"--socket-path={ROOT_SOCKET}",
        *(f"-o{option}" for option in options),
    ]


@cache
def accelerator(kernel: Kernel) -> tuple[str, str]:
    """QEMU's accelerator and processor: the host's own where a guest boots with it, else emulated.

    /dev/kvm may be there and not work, so that it is tried.
    """
    if not Path("/dev/kvm").exists():
        return _EMULATED
    with tempfile.NamedTemporaryFile() as archive:
        archive.write(initramfs(kernel, "probe", Setting(NONE)))
        archive.flush()
        command = [*_common(kernel, archive.name, _REAL, ""), "-m", "256"]
        try:
            done = subprocess.run(  # noqa: S603  fixed arguments
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=_PROBE_S,
            )
        except subprocess.TimeoutExpired:
            return _EMULATED
    return _REAL if done.returncode == 0 else _EMULATED


def slowness(kernel: Kernel) -> float:
    """How many times longer than here a command in a guest may take."""
    return 1.0 if accelerator(kernel) == _REAL else 10.0


def _common(kernel: Kernel, archive: str, accelerated: tuple[str, str], append: str) -> list[str]:
    accelerator, processor = accelerated
    return [
        *(tool("qemu-system-x86_64"), "-nodefaults", "-no-user-config", "-no-reboot"),
        *("-display", "none", "-M", _MACHINE, "-accel", accelerator, "-cpu", processor),
        *("-chardev", "file,id=console,path=/dev/stdout", "-serial", "chardev:console"),
        *("-kernel", str(kernel.vmlinux), "-initrd", archive),
        *("-append", f"{_APPEND} {append}".strip()),
    ]
