# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
from pathlib import Path

IMPORT = "import krait.kernel.bpf.object, krait.kernel.bpf.link, krait.kernel.bpf.testrun\n"


def python(code: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", IMPORT + code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_importing_loads_no_library() -> None:
    assert python("print('libbpf' in open('/proc/self/maps').read())") == "False\n"


def test_a_library_that_does_not_load_is_told_at_first_use_with_the_package(tmp_path: Path) -> None:
    (tmp_path / "libbpf.so.1").touch()  # the loader takes this one, and finds it too short
    told = python(
        "from pathlib import Path\n"
        "from krait.common.errors import SystemRefused\n"
        "try: krait.kernel.bpf.object.BpfObject.open(Path('krait.bpf.o'))\n"
        "except SystemRefused as error: print(error.message, '|', error.hint)\n",
        LD_LIBRARY_PATH=str(tmp_path),
    )
    assert told.startswith("libbpf cannot be used: ")
    assert "apt install libbpf1" in told
