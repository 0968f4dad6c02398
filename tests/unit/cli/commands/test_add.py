# SPDX-License-Identifier: Apache-2.0
import json
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from krait.cli.commands import add
from krait.cli.main import main
from krait.policy import expectations
from krait.policy.document import load
from krait.policy.example import EXAMPLE
from krait.policy.expectations import Failure
from krait.policy.model import Document
from tests.documents import key, policy

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "krait.yaml"
    path.write_text(EXAMPLE)
    path.chmod(0o640)
    return path


def test_a_node_is_added_and_the_next_step_told(file: Path, capsys: Capture) -> None:
    arguments = ["--key", key(9), "--tags", "web,prod", "--endpoint", "192.0.2.9:51820"]
    assert main(["add", str(file), "web2", *arguments]) == 0
    line = EXAMPLE[: EXAMPLE.index("\npolicy:")].count("\n") + 2
    assert capsys.readouterr().out == (
        f"added: web2, 10.8.0.4, fd7a:6b72::4, in line {line}\n"
        f"next: copy {file} to every node, then there:\n"
        f"  sudo install -D -m 600 {file} /etc/krait/wg0.yaml && sudo krait up wg0\n"
    )
    node = load(file.read_bytes(), "krait.yaml").nodes[-1]
    assert (node.name, node.endpoint) == ("web2", "192.0.2.9:51820")
    assert node.tags == {"web", "prod"}
    assert node.mark.line == line


def test_all_other_lines_stay_as_they_were_and_so_does_the_mode(file: Path) -> None:
    assert main(["add", str(file), "web2", "--key", key(9), "--tags", "web"]) == 0
    now = file.read_text().splitlines()
    assert [line for line in EXAMPLE.splitlines() if line not in now] == []
    assert len(now) == len(EXAMPLE.splitlines()) + 5
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert list(file.parent.iterdir()) == [file]


def test_a_symbolic_link_stays_one(file: Path) -> None:
    link = file.with_name("link.yaml")
    link.symlink_to(file.name)
    assert main(["add", str(link), "web2", "--key", key(9), "--tags", "web"]) == 0
    assert link.is_symlink()
    assert "web2:" in file.read_text()


def test_a_link_to_anothers_file_put_there_meanwhile_is_not_followed(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Whoever owns the folder can do so, and `sudo krait add` may write to any file."""
    secret = file.parent.parent / f"{file.parent.name}.secret"
    secret.write_text("root's")

    def swap(document: Document) -> tuple[Failure, ...]:
        file.unlink()
        file.symlink_to(secret)
        return expectations.run(document)

    monkeypatch.setattr(add, "expectations", SimpleNamespace(run=swap))
    assert main(["add", str(file), "web2", "--key", key(9), "--tags", "web"]) == 3
    assert "changed meanwhile" in capsys.readouterr().err
    assert secret.read_text() == "root's"
    secret.unlink()


def test_a_pipe_is_no_document_to_be_changed(tmp_path: Path, capsys: Capture) -> None:
    os.mkfifo(tmp_path / "krait.yaml")
    assert main(["add", str(tmp_path / "krait.yaml"), "web2", "--key", key(9)]) == 2
    assert "no regular file" in capsys.readouterr().err


def test_addresses_may_be_said(file: Path) -> None:
    arguments = ["--address", "10.8.0.99", "--address", "fd7a:6b72::99"]
    assert main(["add", str(file), "web2", "--key", key(9), *arguments]) == 0
    node = load(file.read_bytes(), "krait.yaml").nodes[-1]
    assert list(map(str, node.addresses)) == ["10.8.0.99", "fd7a:6b72::99"]


def test_json_tells_what_was_added(file: Path, capsys: Capture) -> None:
    assert main(["add", str(file), "web2", "--key", key(9), "--tags", "web", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == {
        "file": str(file),
        "node": "web2",
        "line": report["line"],
        "addresses": ["10.8.0.4", "fd7a:6b72::4"],
        "warnings": [],
    }
    assert file.read_text().splitlines()[report["line"] - 1] == "  web2:"


def test_what_is_odd_about_the_node_is_a_warning(file: Path, capsys: Capture) -> None:
    assert main(["add", str(file), "web2", "--key", key(9)]) == 0
    assert "web2 has no tags, and no rule names it" in capsys.readouterr().out
    assert main(["add", str(file), "web3", "--key", key(8), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["warnings"][0] == {
        "line": report["line"],
        "column": 3,
        "message": "web3 has no tags, and no rule names it",
        "id": "unnamed-node",
    }


def test_a_file_that_is_not_there_is_begun_with_an_example(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "the mesh.yaml"
    assert main(["add", str(file), "web2", "--key", key(9)]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert f"begin one: krait example --minimal >'{file}'" in told


def test_without_a_mesh_no_address_is_told(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "krait.yaml"
    file.write_text(policy("{}"))
    assert main(["add", str(file), "web2", "--key", key(9)]) == 0
    assert "web2, no address: the document has no mesh, in line 4" in capsys.readouterr().out


BAD = {
    "a name that is taken": (["db1", "--key", key(9)], 'has a node "db1" already, in line'),
    "no name": (["DB 2", "--key", key(9)], '"DB 2" is not a name'),
    "a tag as a name": (["prod", "--key", key(9)], 'tag "prod" is also the name of a node'),
    "no key": (["web2"], "the following arguments are required: --key"),
    "half a key": (["web2", "--key", "AQ=="], "is not a public key"),
    "no endpoint": (["web2", "--key", key(9), "--endpoint", "here"], "has no port"),
    "no tag": (["web2", "--key", key(9), "--tags", "web,A"], '"A" is not a name'),
    "no address": (["web2", "--key", key(9), "--address", "10.8.0.0/24"], "is not one address"),
    "an address outside": (["web2", "--key", key(9), "--address", "192.0.2.1"], "outside the mesh"),
    "a node that fails a test": (
        ["web2", "--key", key(9), "--tags", "web,db,admin"],
        "expected denied",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD.keys())
def test_where_the_document_would_not_be_right_nothing_is_written(
    arguments: list[str], message: str, file: Path, capsys: Capture
) -> None:
    before = file.stat()
    assert main(["add", str(file), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert file.read_text() == EXAMPLE
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_document_that_is_wrong_already_is_told_with_its_line(
    tmp_path: Path, capsys: Capture
) -> None:
    file = tmp_path / "krait.yaml"
    file.write_text(policy("{rulez: []}"))
    assert main(["add", str(file), "web2", "--key", key(9)]) == 2
    assert f"{file}:4:10: unknown key" in capsys.readouterr().err
