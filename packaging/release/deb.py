# SPDX-License-Identifier: Apache-2.0
"""The Debian package: laid out file by file, packed by dpkg-deb.

Nothing but files to copy and pages to write goes in, so debhelper would hide more than it does.
What is in packaging/debian is taken word for word; control's braces are filled in.
"""

import gzip
import os
import shutil
import subprocess
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import md5
from pathlib import Path

from release import tree
from release.share import shared

ROOT = Path(__file__).parents[2]
DEBIAN = ROOT / "packaging" / "debian"

REVISION = 1
"""Of the packaging, where the version stays."""

_FROM_DEBIAN = {"pyyaml"}
"""Its own package is new enough, and has the C parser for whichever Python Debian runs."""

_COMMAND = """\
#!/usr/bin/python3 -I
import sys

sys.path.insert(0, "/usr/lib/krait")
from krait.cli.main import main

sys.exit(main())
"""
_ENTRY = """\
krait ({version}) unstable; urgency=medium

  * What changed is in changelog.gz beside this file.

 -- Krait maintainers <krait@localhost>  {date}
"""
_PLACES = {
    "krait.8": "man/man8/krait.8.gz",
    "krait.yaml.5": "man/man5/krait.yaml.5.gz",
    "krait.schema.json": "krait/krait.schema.json",
    "krait.bash": "bash-completion/completions/krait",
    "krait.zsh": "zsh/vendor-completions/_krait",
    "krait.fish": "fish/vendor_completions.d/krait.fish",
}
"""Where Debian looks for them, below /usr/share."""

_DOCUMENTS = (
    "README.md",
    "ARCHITECTURE.md",
    "bench/RESULTS.md",
    "docs/*.md",
    "docs/adr/*.md",
    "examples/*",
)
"""Placed as in the sources, so that they find each other."""


def write(folder: Path, wheel: Path, version: str, made_s: int) -> Path:
    """Make krait_VERSION_ARCHITECTURE.deb in `folder`; all in it has the date `made_s`.

    The same sources make the same bytes. The architecture is this machine's: the compiled programs
    have its byte order.
    """
    asked = ["dpkg", "--print-architecture"]
    architecture = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    full = f"{version}-{REVISION}"
    target = folder / f"krait_{full}_{architecture}.deb"
    root = folder / "deb"
    _lay_out(root, wheel, full, made_s)
    _describe(root, full, architecture)
    for path in (root, *root.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        os.utime(path, (made_s, made_s))
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", root, target],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(made_s)},
    )
    shutil.rmtree(root)
    return target


def _lay_out(root: Path, wheel: Path, full: str, made_s: int) -> None:
    (root / "usr" / "lib").mkdir(parents=True)
    library = root / "usr" / "lib" / "krait"
    tree.lay_out(wheel, library, [each for each in tree.LIBRARIES if each not in _FROM_DEBIAN])
    for licences in library.glob("*.dist-info/licenses"):
        shutil.rmtree(licences)  # the package's copyright file says it all
    _put(root / "usr" / "bin" / "krait", _COMMAND).chmod(0o755)
    (root / "etc" / "krait").mkdir(parents=True)
    unit = ROOT / "packaging" / "systemd" / "krait@.service"
    _put(root / "lib" / "systemd" / "system" / unit.name, unit.read_text())
    share = root / "usr" / "share"
    for name, content in shared(full, made_s).items():
        place = share / _PLACES[name]
        _pack(place, content) if place.suffix == ".gz" else _put(place, content)
    about = share / "doc" / "krait"
    date = format_datetime(datetime.fromtimestamp(made_s, UTC))
    _pack(about / "changelog.Debian.gz", _ENTRY.format(version=full, date=date))
    _pack(about / "changelog.gz", (ROOT / "CHANGELOG.md").read_text())
    _put(about / "copyright", _fields("copyright"))
    for path in (each for pattern in _DOCUMENTS for each in ROOT.glob(pattern)):
        _put(about / path.relative_to(ROOT), path.read_text())
    _put(share / "lintian" / "overrides" / "krait", (DEBIAN / "lintian-overrides").read_text())


def _describe(root: Path, full: str, architecture: str) -> None:
    size_bytes = sum(path.stat().st_size for path in tree.files(root))
    control = _fields("control")
    _put(
        root / "DEBIAN" / "control",
        control.format(version=full, architecture=architecture, size_kib=size_bytes // 1024 + 1),
    )
    for name in ("postinst", "prerm", "postrm"):
        _put(root / "DEBIAN" / name, (DEBIAN / name).read_text()).chmod(0o755)
    # dpkg --verify asks these whether a file is as it was
    shipped = [path for path in tree.files(root) if path.parent != root / "DEBIAN"]
    sums = [f"{_md5(path)}  {path.relative_to(root)}\n" for path in shipped]
    _put(root / "DEBIAN" / "md5sums", "".join(sums))


def _fields(name: str) -> str:
    """A file of fields, without the comments that only a source may have."""
    lines = (DEBIAN / name).read_text().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("#"))


def _put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _md5(path: Path) -> str:
    return md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _pack(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
