# SPDX-License-Identifier: Apache-2.0
"""`python -m release FOLDER`: from the wheel in that folder, everything else that is released.

All of it bears the date SOURCE_DATE_EPOCH, so that the same sources make the same bytes.
"""

import os
import shutil
import sys
from hashlib import sha256
from pathlib import Path

from release import deb, single, tree


def main(folder: Path) -> None:
    """The single file, the Debian package, and the checksums of all."""
    made_s = int(os.environ["SOURCE_DATE_EPOCH"])
    (wheel,) = folder.glob("krait-*.whl")
    version = wheel.name.split("-")[1]
    unpacked = folder / "tree"
    tree.lay_out(wheel, unpacked)
    single.write(folder / "krait", unpacked, made_s)
    shutil.rmtree(unpacked)
    deb.write(folder, wheel, version, made_s)
    sums = [f"{sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in tree.files(folder)]
    (folder / "SHA256SUMS").write_text("\n".join(sums) + "\n")
    for path in tree.files(folder):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
