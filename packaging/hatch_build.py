# SPDX-License-Identifier: Apache-2.0
"""Puts the compiled objects into the wheel, so that installing Krait needs no compiler."""

import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OBJECTS = "src/krait/kernel/bpf"


class ObjectHook(BuildHookInterface[Any]):
    """Runs ebpf/build for each before the wheel is packed; its failure is the wheel's."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return  # a checkout compiles by `./just build-all`, and may want no compiler
        root = Path(self.root)
        for source in sorted((root / "ebpf").glob("*.bpf.c")):
            made = f"{OBJECTS}/{source.stem}.o"
            subprocess.run([root / "ebpf" / "build", root / made], check=True)
            build_data["artifacts"].append(made)  # though .gitignore names it
