# SPDX-License-Identifier: Apache-2.0
"""Debian's kernels for guests: fetched once, unpacked, never installed.

A cache has one folder a series, such as `6.12`, in it what a guest boots: `vmlinux` (taken out of
the bzImage, because an emulated processor is slow to inflate), `modules/<release>` with its index,
and `early`, the modules without which there is no root.
"""

import lzma
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from krait.common.errors import SystemRefused

SERIES = ("6.1", "6.12")
"""The kernels that Krait is tested on, beside the host's."""

CACHE = Path(".cache/kernels")
"""Where the checkout keeps them, as seen from its root."""

_PACKAGE = re.compile(r"linux-image-(?P<release>(?P<series>\d+\.\d+)\.\S*-cloud-amd64)")
_EARLY = ("virtio_pci", "virtiofs", "virtio_console", "overlay")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/libexec:/usr/lib/qemu"
_MEND = "With a network and Debian's archive: apt-get update, then once more."
_INFLATE = {b"\x28\xb5\x2f\xfd": "zstd", b"\x02\x21\x4c\x18": "lz4", b"\xfd7zX": "xz"}


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel that can be booted."""

    release: str
    vmlinux: Path
    modules: Path
    """What becomes /lib/modules in the guest."""
    early: tuple[Path, ...]
    """Modules for the initramfs, inflated, in the order to load them."""

    @property
    def busybox(self) -> Path:
        """A busybox that needs no library."""
        return Path(tool("busybox"))


def obtain(series: str, cache: Path = CACHE) -> Kernel:
    """The kernel of a series, fetched unless the cache has it. Raises SystemRefused."""
    folder = cache.absolute() / series
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as unfinished:
            made = Path(unfinished, "made")
            _make(made, series, Path(unfinished))
            try:
                made.rename(folder)
            except OSError:
                if not folder.is_dir():  # else somebody was faster
                    raise
    (release,) = (each.name for each in (folder / "modules").iterdir())
    early = tuple(sorted((folder / "early").iterdir()))
    return Kernel(release, folder / "vmlinux", folder / "modules", early)


def tool(name: str) -> str:
    """The path of one of the system's programs; raises SystemRefused without it."""
    if found := shutil.which(name, path=_PATH):
        return found
    packages = {
        "busybox": "busybox-static",
        "depmod": "kmod",
        "modprobe": "kmod",
        "qemu-system-x86_64": "qemu-system-x86",
        "virtiofsd": "qemu-system-common",
    }
    raise SystemRefused(
        f"not installed: {name}", hint=f"apt-get install {packages.get(name, name)}"
    )


def newest(series: str, packages: Iterable[str]) -> str | None:
    """Of package names, the one with the highest release of a series."""
    found = (match for name in packages if (match := _PACKAGE.fullmatch(name)))
    of_series = (match for match in found if match["series"] == series)
    best = max(of_series, key=lambda match: _numbers(match["release"]), default=None)
    return best[0] if best else None


def _make(folder: Path, series: str, work: Path) -> None:
    archive = _download(series, work)
    unpacked = work / "unpacked"
    _run([tool("dpkg-deb"), "--extract", str(archive), str(unpacked)])
    (image,) = (unpacked / "boot").glob("vmlinuz-*")
    release = image.name.removeprefix("vmlinuz-")
    _run([tool("depmod"), "--basedir", str(unpacked), release])
    (folder / "early").mkdir(parents=True)
    (folder / "vmlinux").write_bytes(vmlinux(image.read_bytes()))
    for number, module in enumerate(_early(unpacked, release)):
        content = module.read_bytes()
        if module.suffix == ".xz":
            content = lzma.decompress(content)
        name = module.name.removesuffix(".xz")
        (folder / "early" / f"{number:02}-{name}").write_bytes(content)
    (unpacked / "lib/modules").rename(folder / "modules")


def _download(series: str, work: Path) -> Path:
    """The package, in `work`. The lists of packages may be missing, or older than the archive."""
    why = ""
    for fresh in (False, True):
        if fresh:
            _run([tool("apt-get"), "update", "--quiet=2"], may_fail=True)
        names = _run([tool("apt-cache"), "pkgnames", f"linux-image-{series}."]).split()
        if (package := newest(series, names)) is None:
            why = "apt knows none"
            continue
        why = _run(
            [tool("apt-get"), "download", "--quiet=2", "-o", "APT::Sandbox::User=root", package],
            folder=work,
            may_fail=True,
        )
        if found := list(work.glob("*.deb")):
            return found[0]
    raise SystemRefused(
        f"no Linux {series} for guests could be fetched (linux-image-{series}*-cloud-amd64): "
        f"{' '.join(why.split())}",
        hint=_MEND,
    )


def _early(unpacked: Path, release: str) -> list[Path]:
    """Files of the modules that the root needs, each after what it stands on."""
    base = ["--dirname", str(unpacked), "--set-version", release]
    found: dict[Path, None] = {}
    for name in _EARLY:  # built in ones are listed as such
        lines = _run([tool("modprobe"), *base, "--show-depends", name]).splitlines()
        found |= {Path(line.split()[1]): None for line in lines if line.startswith("insmod ")}
    return list(found)


def vmlinux(image: bytes) -> bytes:
    """The ELF file inside a bzImage (Linux: Documentation/arch/x86/boot.rst, payload_offset)."""
    setup_bytes = ((image[0x1F1] or 4) + 1) * 512
    offset, length = struct.unpack_from("<II", image, 0x248)
    payload = image[setup_bytes + offset : setup_bytes + offset + length]
    if (inflate := _INFLATE.get(payload[:4])) is None:
        raise SystemRefused(
            f"a kernel compressed in an unknown way: {payload[:4].hex()}",
            hint=f"Teach {__name__} which program inflates it.",
        )
    # After the stream comes its length, at which the programs complain when all is done.
    done = subprocess.run(  # noqa: S603  fixed arguments
        [tool(inflate), "-dcq"], input=payload, capture_output=True, check=False
    )
    if not done.stdout.startswith(b"\x7fELF"):
        raise SystemRefused(
            f"{inflate} could not inflate a kernel: {done.stderr.decode(errors='replace').strip()}",
            hint="Remove .cache/kernels, to fetch it again.",
        )
    return done.stdout


def _run(command: Sequence[str], *, folder: Path | None = None, may_fail: bool = False) -> str:
    """Standard output; of a command that fails and may, what it complains of."""
    done = subprocess.run(  # noqa: S603  fixed programs, package names of the archive
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode and not may_fail:
        raise SystemRefused(f"{' '.join(command)}: {done.stderr.strip()}", hint=_MEND)
    return done.stderr if done.returncode else done.stdout


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", release)))
