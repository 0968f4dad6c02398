# SPDX-License-Identifier: Apache-2.0
"""`python -m release.share FOLDER VERSION`: what is made for whoever packages Krait.

They are man pages, completions, and the schema of documents.

The pages bear the date SOURCE_DATE_EPOCH.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from krait.policy import schema
from release import manual
from release.completions import SHELLS, completion


def shared(version: str, made_s: int) -> Mapping[str, str]:
    """Content by name: krait.8, krait.yaml.5, krait.schema.json, and for each shell krait.SHELL."""
    return {
        "krait.8": manual.krait(version, made_s),
        "krait.yaml.5": manual.krait_yaml(version, made_s),
        "krait.schema.json": schema.text(),
        **{f"krait.{shell}": completion(shell) for shell in SHELLS},
    }


def main(folder: Path, version: str) -> None:
    """Write them all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in shared(version, int(os.environ["SOURCE_DATE_EPOCH"])).items():
        (folder / name).write_text(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
