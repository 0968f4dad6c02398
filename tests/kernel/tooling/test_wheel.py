# SPDX-License-Identifier: Apache-2.0
"""The wheel of this checkout: what it holds is loaded, and not what lies in the checkout."""

import json
import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from tests.requirements import need_tools

need_tools("clang", "llvm-strip")

ROOT = Path(__file__).parents[3]


def test_the_object_in_the_wheel_passes_the_verifier(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "unpacked")

    def python(script: str, *arguments: str) -> str:
        command = [sys.executable, "-c", script, *arguments]
        path = {**os.environ, "PYTHONPATH": str(tmp_path / "unpacked")}
        done = subprocess.run(
            command, cwd=tmp_path, env=path, check=False, capture_output=True, text=True
        )
        return done.stdout

    where = python("import krait.kernel.bpf as found; print(found.__file__)")
    assert Path(where).is_relative_to(tmp_path)
    told = python("from krait.cli.main import main; main()", "doctor", "--json")
    findings = {each["name"]: each for each in json.loads(told)["findings"]}
    assert findings["object"]["level"] == "ok", findings["object"]
