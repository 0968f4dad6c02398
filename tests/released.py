# SPDX-License-Identifier: Apache-2.0
"""What `./just release` makes, for tests that install it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

MADE_S = 1_700_000_000
"""The date of all that is released here, whatever is committed meanwhile."""


@dataclass(frozen=True, slots=True)
class Released:
    """A folder as dist/ is after a release."""

    folder: Path
    said: str
    """What the release printed."""

    @property
    def wheel(self) -> Path:
        """krait-VERSION-py3-none-any.whl."""
        (found,) = self.folder.glob("krait-*.whl")
        return found

    @property
    def single_file(self) -> Path:
        """The one that runs by itself."""
        return self.folder / "krait"

    @property
    def package(self) -> Path:
        """krait_VERSION_ARCHITECTURE.deb."""
        (found,) = self.folder.glob("krait_*.deb")
        return found


def release(folder: Path) -> Released:
    """Release this checkout into a folder."""
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": tools, "SOURCE_DATE_EPOCH": str(MADE_S)}
    build = [ROOT / "packaging" / "build", folder]
    done = subprocess.run(build, check=True, capture_output=True, text=True, env=environment)
    return Released(folder, done.stdout)
