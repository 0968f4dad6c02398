# SPDX-License-Identifier: Apache-2.0
"""A folder from which Krait runs: its wheel unpacked, and beside it the libraries it needs.

The libraries are those of the environment that uv.lock pins, file by file as it lists them, so that
nothing is fetched and what was tested is what is shipped.
"""

import shutil
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackagePath
from pathlib import Path
from zipfile import ZipFile

LIBRARIES = ("asyncinotify", "pyyaml", "structlog")
"""All of `dependencies` in pyproject.toml, which need no others."""

_ABOUT_THIS_INSTALLATION = {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json"}


def lay_out(wheel: Path, folder: Path, libraries: Iterable[str] = LIBRARIES) -> None:
    """Fill a folder that is not there yet."""
    folder.mkdir()
    with ZipFile(wheel) as packed:
        packed.extractall(folder)
    for library in libraries:
        add(library, folder)
    for record in folder.glob("*.dist-info/RECORD"):
        record.unlink()  # of the wheel, whose files are no longer all there is


def add(library: str, folder: Path) -> None:
    """Copy one of the environment's libraries into a folder of Python's path."""
    found = Distribution.from_name(library)
    for path in _shipped(found):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(str(found.locate_file(path))), target)


def files(folder: Path) -> Iterator[Path]:
    """All below it, in the order of their names."""
    return iter(sorted(each for each in folder.rglob("*") if each.is_file()))


def _shipped(library: Distribution) -> Iterator[PackagePath]:
    for path in library.files or ():
        inside = ".." not in path.parts and "__pycache__" not in path.parts
        if inside and path.name not in _ABOUT_THIS_INSTALLATION:
            yield path
