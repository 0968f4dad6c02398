# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from krait.agent.ourselves import ourselves

MODULE = (sys.executable, "-m", "krait.cli.main")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "krait"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_script_in_no_path_is_called_by_its_place(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(script.parent)
    assert ourselves(os.fspath(script)) == ourselves("krait") == (str(script),)


def test_the_single_file_is_run_by_this_python_whatever_its_name_and_mode(tmp_path: Path) -> None:
    path = tmp_path / "krait-0.1"
    with ZipFile(path, "w") as packed:
        packed.writestr("__main__.py", "import sys; print(sys.argv[1:])")
    assert ourselves(str(path)) == (sys.executable, "-I", str(path))
    done = subprocess.run([*ourselves(str(path)), "status"], capture_output=True, check=True)
    assert done.stdout == b"['status']\n"


def test_what_is_not_there_or_not_ours_is_the_module(script: Path) -> None:
    other = script.rename(script.with_name("pytest"))
    assert ourselves("krait-that-is-gone") == ourselves(str(other)) == MODULE
    done = subprocess.run([*ourselves(str(other)), "--version"], capture_output=True, check=True)
    assert done.stdout.startswith(b"krait ")
