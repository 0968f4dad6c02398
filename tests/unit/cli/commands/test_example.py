# SPDX-License-Identifier: Apache-2.0
import json
import re
from pathlib import Path

import pytest

from krait.cli.main import main
from krait.policy import expectations
from krait.policy.advice import advise
from krait.policy.device import wanted
from krait.policy.document import DOCUMENT_KEYS, load
from krait.policy.formatted import formatted
from krait.policy.lint import lint
from krait.policy.nodes import MESH_KEYS, NODE_KEYS, ROUTE_KEYS
from krait.policy.rules import POLICY_KEYS, RULE_KEYS, TEST_KEYS
from tests.documents import key

Capture = pytest.CaptureFixture[str]
KEYS = DOCUMENT_KEYS | MESH_KEYS | NODE_KEYS | ROUTE_KEYS | POLICY_KEYS | RULE_KEYS | TEST_KEYS


@pytest.fixture
def example(capsys: Capture) -> str:
    assert main(["example"]) == 0
    return capsys.readouterr().out


def test_the_example_passes_check_without_a_warning_or_a_finding(example: str) -> None:
    document = load(example.encode(), "example.yaml")
    assert expectations.run(document) == ()
    assert advise(document) == ()
    assert lint(document) == ()


def test_every_node_of_the_example_gets_its_device(example: str) -> None:
    document = load(example.encode(), "example.yaml")
    assert {n.name: len(wanted(document, n.name).peers) for n in document.nodes} == {
        "gate": 3,
        "db1": 2,
        "web1": 2,
        "laptop": 1,
    }


def test_every_key_of_a_document_is_in_the_example(example: str) -> None:
    code = "\n".join(line.partition("#")[0] for line in example.splitlines())
    assert {key for key in KEYS if not re.search(rf"\b{key}:", code)} == {"node", "multicast"}
    assert "# node:" in example  # it would be wrong on all machines but one
    assert "# multicast:" in example  # over a link of two nodes alone


def test_the_example_is_good_to_read(example: str) -> None:
    lines = example.splitlines()
    assert len(lines) < 100
    assert max(map(len, lines)) <= 100


def test_the_example_has_the_form_of_fmt(example: str) -> None:
    assert formatted(example.encode(), "example.yaml") == example.encode()


def test_json_holds_the_same_text(example: str, capsys: Capture) -> None:
    assert main(["example", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"document": example}


def test_the_minimal_one_is_filled_by_add(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "mesh.yaml"
    assert main(["example", "--minimal"]) == 0
    file.write_text(capsys.readouterr().out)
    assert main(["check", str(file)]) == 2
    assert "`krait add` puts one in" in capsys.readouterr().err
    for number, name in enumerate(("db1", "web1"), start=1):
        arguments = ["--key", key(number), "--endpoint", f"192.0.2.{number}:51820"]
        assert main(["add", str(file), name, *arguments, "--tags", "prod"]) == 0
    assert main(["check", str(file)]) == 0
    document = load(file.read_bytes(), "mesh.yaml")
    assert len(wanted(document, "web1").peers) == 1
    capsys.readouterr()
    assert main(["example", "--minimal", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["document"].startswith("# A mesh")
