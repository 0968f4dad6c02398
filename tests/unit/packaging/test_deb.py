# SPDX-License-Identifier: Apache-2.0
"""The Debian package: what Debian's own tools say of it."""

import re
import subprocess
from pathlib import Path

from krait.kernel.device import MARK
from krait.kernel.route import PROTOCOL
from release import deb
from tests.released import MADE_S, ROOT, Released
from tests.requirements import need_tools

need_tools("dpkg-deb", "lintian", "shellcheck")


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_lintian_finds_nothing_that_is_not_explained(released: Released) -> None:
    found = run("lintian", "--allow-root", "--display-info", "--pedantic", released.package)
    assert not found


def test_the_same_sources_make_the_same_package(released: Released, tmp_path: Path) -> None:
    field = run("dpkg-deb", "--field", released.package, "Version").strip()
    again = deb.write(tmp_path, released.wheel, field.rpartition("-")[0], MADE_S)
    assert again.name == released.package.name
    assert again.read_bytes() == released.package.read_bytes()


def test_everything_in_it_is_roots_and_for_root_alone_to_write(released: Released) -> None:
    for line in run("dpkg-deb", "--contents", released.package).splitlines():
        mode, owner, *_ = line.split()
        assert owner == "root/root", line
        assert mode in {"drwxr-xr-x", "-rw-r--r--", "-rwxr-xr-x"}, line


def test_it_has_what_an_operator_looks_for(released: Released) -> None:
    found = {line.split()[5] for line in run("dpkg-deb", "-c", released.package).splitlines()}
    assert {
        "./etc/krait/",
        "./lib/systemd/system/krait@.service",
        "./usr/bin/krait",
        "./usr/lib/krait/krait/kernel/bpf/guard.bpf.o",
        "./usr/lib/krait/krait/kernel/bpf/krait.bpf.o",
        "./usr/share/bash-completion/completions/krait",
        "./usr/share/doc/krait/examples/small.yaml",
        "./usr/share/fish/vendor_completions.d/krait.fish",
        "./usr/share/krait/krait.schema.json",
        "./usr/share/man/man5/krait.yaml.5.gz",
        "./usr/share/man/man8/krait.8.gz",
        "./usr/share/zsh/vendor-completions/_krait",
    } <= found
    assert not any("/yaml/" in path for path in found)  # Debian's own


def test_every_link_of_its_documents_leads_somewhere(released: Released, tmp_path: Path) -> None:
    run("dpkg-deb", "--extract", released.package, tmp_path)
    links = [
        (document, target)
        for document in (tmp_path / "usr" / "share" / "doc").rglob("*.md")
        for target in re.findall(r"\]\(([^)#]+)", document.read_text())
        if "://" not in target
    ]
    assert len(links) > 40
    assert not [each for each in links if not (each[0].parent / each[1]).exists()]


def test_it_knows_devices_and_routes_by_the_marks_that_krait_gives_them() -> None:
    script = (ROOT / "packaging" / "debian" / "postrm").read_text()
    assert f"\ngroup={MARK} " in script
    assert f"\nprotocol={PROTOCOL} " in script


def test_its_scripts_have_no_fault_that_shellcheck_knows() -> None:
    scripts = (ROOT / "packaging" / "debian").glob("p*")
    run("shellcheck", ROOT / "packaging" / "build", *sorted(scripts))


def test_all_that_is_released_is_said(released: Released) -> None:
    assert released.said.splitlines() == sorted(map(str, released.folder.iterdir()))


def test_the_checksums_are_those_of_the_files(released: Released) -> None:
    sums = released.folder / "SHA256SUMS"
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", sums],
        cwd=released.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    named = {line.partition(":")[0] for line in checked.stdout.splitlines()}
    assert named == {path.name for path in released.folder.iterdir()} - {sums.name}
