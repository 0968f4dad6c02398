# SPDX-License-Identifier: Apache-2.0
"""The wheel holds the compiled object, or is not built at all."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile


def build_wheel(checkout: Path) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "-d", "dist"]
    return subprocess.run(command, cwd=checkout, capture_output=True, check=False)


def test_the_wheel_holds_the_object(checkout: Path) -> None:
    built = build_wheel(checkout)
    assert built.returncode == 0, built.stderr
    (wheel,) = (checkout / "dist").glob("*.whl")
    names = ZipFile(wheel).namelist()
    assert [name for name in names if ".bpf.o" in name] == ["krait/kernel/bpf/krait.bpf.o"]
    assert sum("/licenses/" in name for name in names) == 3


def test_no_wheel_is_built_from_a_program_that_does_not_compile(checkout: Path) -> None:
    (checkout / "ebpf" / "krait" / "verdict.h").write_text("#define VERDICT no\n")
    assert build_wheel(checkout).returncode != 0
    assert not list(checkout.glob("dist/*"))
