# SPDX-License-Identifier: Apache-2.0
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import pytest

from krait.agent.managed.orders import Orders, Standing
from krait.agent.paths import Paths
from krait.agent.state import Record, write_records
from krait.cli.doctor import documents, finding
from krait.cli.doctor.finding import Level
from krait.common.errors import UsageError
from krait.policy.numbering import Numbers
from tests.unit.cli.doctor.test_interface import DEVICE, KEY
from tests.unit.standing import stand

DOCUMENT = f"""
nodes:
  hub: {{public_key: "{b64encode(KEY).decode()}", tags: [x]}}
  other: {{public_key: "{b64encode(b"o" * 32).decode()}", tags: [x]}}
policy: {{rules: [{{from: x, to: x}}]}}
"""


def written(folder: Path, text: str) -> list[Path]:
    """Where a document is looked for: there is none in the first place."""
    path = folder / "krait.yaml"
    path.write_text(text)
    return [folder / "wg0.yaml", path]


def test_a_document_is_looked_for_in_every_place_and_names_this_machine(tmp_path: Path) -> None:
    assert documents.fits(DEVICE, [tmp_path / "wg0.yaml"]).level is Level.NOTE
    answer = documents.fits(DEVICE, written(tmp_path, DOCUMENT))
    assert answer.level is Level.OK
    assert answer.message.endswith("krait.yaml: this machine is hub")


def test_a_document_that_cannot_be_read_fails_by_its_first_problem(tmp_path: Path) -> None:
    answer = documents.fits(DEVICE, written(tmp_path, "nodes: {}\nrules: []"))
    assert answer.level is Level.FAIL
    assert ":1:1: " in answer.message
    assert answer.hint == f"krait check {tmp_path / 'krait.yaml'}"


def test_a_document_that_fails_its_own_tests_fails_here_too(tmp_path: Path) -> None:
    text = DOCUMENT.replace("to: x}]", "to: x}], tests: [{from: x, to: x, expect: deny}]")
    places = written(tmp_path, text)
    answer = finding.answer(lambda: documents.fits(DEVICE, places))
    assert answer.level is Level.FAIL
    assert "expected denied" in answer.message


def test_the_document_that_was_committed_is_looked_at_before_all_others(tmp_path: Path) -> None:
    paths = Paths(state=tmp_path, config=Path("/etc/krait"))
    record = Record(1, 0.0, "/srv/mesh.yaml", "", Numbers())
    write_records(paths.state_of("wg0"), (record,))
    assert [str(each) for each in documents.places("wg0", paths)] == [
        "/srv/mesh.yaml",
        "/etc/krait/wg0.yaml",
        "/etc/krait/krait.yaml",
    ]


def test_a_document_that_does_not_name_this_machine_raises_what_a_check_fails_by(
    tmp_path: Path,
) -> None:
    stranger = replace(DEVICE, public_key=b"s" * 32)
    with pytest.raises(UsageError, match="no node has this interface's public key"):
        documents.fits(stranger, written(tmp_path, DOCUMENT))


def test_what_krait_up_was_given_is_the_document_whatever_was_committed(tmp_path: Path) -> None:
    paths = Paths(state=tmp_path, config=Path("/etc/krait"))
    write_records(paths.state_of("wg0"), (Record(1, 0.0, "/srv/mesh.yaml", "", Numbers()),))
    stand(paths, Standing(Orders("/srv/new.yaml")))
    assert [str(each) for each in documents.places("wg0", paths)] == ["/srv/new.yaml"]
