# SPDX-License-Identifier: Apache-2.0
"""ebpf/build makes the object that its sources say, and makes it again only when they change."""

import subprocess
from pathlib import Path

import pytest

from tests.requirements import need_tools


def build(checkout: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    script = checkout / "ebpf" / "build"
    return subprocess.run([script, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def made(checkout: Path) -> Path:
    """An object, built once."""
    target = checkout / "krait.bpf.o"
    assert build(checkout, target).stderr == "compiling ebpf/krait.bpf.c\n"
    return target


def compiles_again(checkout: Path, target: Path) -> bool:
    before = target.stat().st_ino
    ran = build(checkout, target)
    assert ran.returncode == 0, ran.stderr
    return target.stat().st_ino != before


def test_the_object_keeps_its_btf_and_loses_its_dwarf(made: Path) -> None:
    need_tools("llvm-readelf")
    listing = subprocess.run(
        ["llvm-readelf", "--sections", made], capture_output=True, text=True, check=True
    ).stdout
    assert ".BTF" in listing
    assert ".debug_" not in listing


def test_the_object_does_not_name_the_folder_it_was_built_in(checkout: Path, made: Path) -> None:
    assert str(checkout).encode() not in made.read_bytes()


def test_an_unchanged_object_is_left_alone(checkout: Path, made: Path) -> None:
    assert not compiles_again(checkout, made)


@pytest.mark.parametrize("changed", ["ebpf/krait.bpf.c", "ebpf/krait/verdict.h", "krait.bpf.o"])
def test_a_changed_file_is_compiled_again(checkout: Path, made: Path, changed: str) -> None:
    with (checkout / changed).open("a") as file:
        file.write("\n")
    assert compiles_again(checkout, made)


def test_a_changed_command_compiles_again(checkout: Path, made: Path) -> None:
    script = checkout / "ebpf" / "build"
    script.write_text(script.read_text().replace("-O2", "-O1"))
    assert compiles_again(checkout, made)


def test_a_warning_is_an_error_and_leaves_no_object(checkout: Path) -> None:
    (checkout / "ebpf" / "krait" / "verdict.h").write_text(
        "#define VERDICT (int)3; int unused = 0\n"
    )
    target = checkout / "krait.bpf.o"
    assert build(checkout, target).returncode != 0
    assert not list(checkout.glob("krait.bpf.o*"))


def test_the_analyser_fails_on_a_finding(checkout: Path) -> None:
    assert build(checkout, "--analyze").returncode == 0
    (checkout / "ebpf" / "krait" / "verdict.h").write_text(
        "#define VERDICT *(int *)(count ? 0 : 0)\n"
    )
    found = build(checkout, "--analyze")
    assert found.returncode != 0
    assert "null pointer" in found.stderr


def test_a_header_that_leans_on_the_one_before_it_is_a_finding(checkout: Path) -> None:
    (checkout / "ebpf" / "krait" / "leans.h").write_text("enum { LEANS = VERDICT };\n")
    program = checkout / "ebpf" / "krait.bpf.c"
    verdict = '#include "krait/verdict.h"\n'
    program.write_text(program.read_text().replace(verdict, f'{verdict}#include "krait/leans.h"\n'))
    assert build(checkout, checkout / "krait.bpf.o").returncode == 0
    found = build(checkout, "--analyze")
    assert found.returncode != 0
    assert "krait/leans.h:1:16: error" in found.stderr
