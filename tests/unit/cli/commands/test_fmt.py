# SPDX-License-Identifier: Apache-2.0
import io
import json
import os
import stat
import sys
from pathlib import Path

import pytest

from krait.cli.commands import fmt
from krait.cli.main import main
from krait.policy.example import EXAMPLE
from krait.policy.formatted import formatted
from tests.documents import key, policy

Capture = pytest.CaptureFixture[str]
OLD = f"policy: {{}}  # rules\nnodes:\n    db1:\n        public_key: '{key(1)}' # ü\n"
NEW = f"nodes:\n  db1:\n    public_key: {key(1)}  # ü\n\npolicy: {{}}  # rules\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "krait.yaml"
    path.write_text(OLD)
    path.chmod(0o640)
    return path


def test_a_document_is_replaced_by_its_form_and_keeps_its_mode(file: Path, capsys: Capture) -> None:
    assert main(["fmt", str(file)]) == 0
    assert capsys.readouterr().out == f"formatted: {file}\n"
    assert file.read_text() == NEW
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can give files away")
def test_its_owner_stays(file: Path) -> None:
    os.chown(file, 12345, 23456)
    assert main(["fmt", str(file)]) == 0
    assert (file.stat().st_uid, file.stat().st_gid) == (12345, 23456)


def test_one_that_has_the_form_is_not_touched(file: Path, capsys: Capture) -> None:
    file.write_text(EXAMPLE)
    before = file.stat()
    assert main(["fmt", str(file)]) == 0
    assert main(["fmt", "--check", str(file)]) == 0
    assert capsys.readouterr().out == f"ok: {file} is as krait fmt writes it\n" * 2
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_check_names_the_file_and_changes_nothing(file: Path, capsys: Capture) -> None:
    assert main(["fmt", "--check", str(file)]) == 1
    assert str(file) in capsys.readouterr().out
    assert file.read_text() == OLD


def test_json_tells_whether_it_was_changed(file: Path, capsys: Capture) -> None:
    assert main(["fmt", "--check", "--json", str(file)]) == 1
    assert main(["fmt", "--json", str(file)]) == 0
    assert main(["fmt", "--json", str(file)]) == 0
    told = capsys.readouterr().out.replace("}\n{", "},{")
    assert [each["changed"] for each in json.loads(f"[{told}]")] == [True, True, False]


def given(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_standard_input_goes_to_standard_output(
    monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    given(monkeypatch, OLD)
    assert main(["fmt", "-"]) == 0
    assert capfd.readouterr().out == NEW
    given(monkeypatch, OLD)
    assert main(["fmt", "--check", "-"]) == 1
    assert "<stdin>" in capfd.readouterr().out
    given(monkeypatch, OLD)
    assert main(["fmt", "--json", "-"]) == 2


def test_a_document_with_errors_is_told_with_its_lines_and_not_written(
    file: Path, capsys: Capture
) -> None:
    text = policy("{rulez: []}")
    file.write_text(text)
    assert main(["fmt", str(file)]) == 2
    assert f"{file}:4:10: unknown key" in capsys.readouterr().err
    assert file.read_text() == text


def test_a_symbolic_link_stays_one(file: Path) -> None:
    link = file.with_name("link.yaml")
    link.symlink_to(file.name)
    assert main(["fmt", str(link)]) == 0
    assert link.is_symlink()
    assert file.read_text() == NEW


def test_a_link_put_there_meanwhile_is_not_followed(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    secret = file.parent / "secret"
    secret.write_text("root's")

    def swap(data: bytes, source: str) -> bytes:
        file.unlink()
        file.symlink_to(secret)
        return formatted(data, source)

    monkeypatch.setattr(fmt, "formatted", swap)
    assert main(["fmt", str(file)]) == 3
    assert "changed meanwhile" in capsys.readouterr().err
    assert secret.read_text() == "root's"


def test_a_pipe_is_no_document_to_be_changed(tmp_path: Path, capsys: Capture) -> None:
    os.mkfifo(tmp_path / "krait.yaml")
    assert main(["fmt", str(tmp_path / "krait.yaml")]) == 2
    assert "no regular file" in capsys.readouterr().err
