# SPDX-License-Identifier: Apache-2.0
import subprocess
from pathlib import Path

import pytest

from krait.lab.virtual import kernels
from krait.lab.virtual.initramfs import Setting, initramfs
from krait.lab.virtual.kernels import Kernel


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a guest's kernel finds, by another program's reading of the archive."""
    cpio = kernels.tool("busybox")
    module = tmp_path / "00-overlay.ko"
    module.write_bytes(b"\x7fELF")
    kernel = Kernel("6.6", tmp_path / "vmlinux", Path("/odd 'path'/modules"), (module,))
    files = {"/etc/systemd/system/a.service": "[Unit]\n"}
    secrets = {"/etc/krait/wg0.key": "secret\n"}
    archive = initramfs(kernel, "alice", Setting(files=files, secrets=secrets))
    folder = tmp_path / "unpacked"
    folder.mkdir()
    monkeypatch.chdir(folder)
    subprocess.run([cpio, "cpio", "-i", "-d"], input=archive, check=True, capture_output=True)
    return folder


def test_the_archive_holds_what_init_asks_for(unpacked: Path) -> None:
    assert (unpacked / "bin/switch_root").resolve() == unpacked / "bin/busybox"
    assert (unpacked / "modules/00-overlay.ko").read_bytes() == b"\x7fELF"
    assert (unpacked / "files/etc/systemd/system/a.service").read_text() == "[Unit]\n"
    assert (unpacked / "init").stat().st_mode & 0o777 == 0o755


def test_a_secret_is_roots_alone(unpacked: Path) -> None:
    secret = unpacked / "files/etc/krait/wg0.key"
    assert (secret.read_text(), secret.stat().st_mode & 0o777) == ("secret\n", 0o600)


def test_settings_are_the_shells_whatever_they_hold(unpacked: Path) -> None:
    say = ["sh", "-c", '. ./settings; echo "$NAME $INIT $MODULES"']
    told = subprocess.run(say, cwd=unpacked, check=True, capture_output=True, text=True)
    assert told.stdout == "alice porter /odd 'path'/modules\n"
