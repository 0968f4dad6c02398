# SPDX-License-Identifier: Apache-2.0
"""Puts the compiled object into the wheel, so that installing Krait needs no compiler."""

import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OBJECT = "src/krait/kernel/bpf/krait.bpf.o"


class ObjectHook(BuildHookInterface[Any]):
    """Runs ebpf/build before the wheel is packed; its failure is the wheel's."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return  # a checkout compiles by `./just build-all`, and may want no compiler
        root = Path(self.root)
        subprocess.run([root / "ebpf" / "build", root / OBJECT], check=True)
        build_data["artifacts"].append(OBJECT)  # though .gitignore names it
