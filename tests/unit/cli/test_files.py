# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from krait.cli.files import load_document, read_file
from krait.common.errors import UsageError
from krait.policy.problems import DocumentError
from krait.policy.yaml_source import MAX_BYTES


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing.yaml: no such file"):
        read_file(str(tmp_path / "nothing.yaml"))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        read_file(str(tmp_path))


def test_a_path_through_a_file_is_an_error_of_usage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="Not a directory"):
        read_file(str(tmp_path / "file" / "krait.yaml"))


def test_a_name_that_no_file_can_have_is_an_error_of_usage() -> None:
    with pytest.raises(UsageError, match="null"):
        read_file("a\0b")


def test_an_unreadable_file_is_an_error_of_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root reads everything, so the refusal is made here."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UsageError, match="you may not read it"):
        read_file(str(tmp_path / "krait.yaml"))


def test_a_file_beyond_the_bound_is_refused_without_reading_it_all(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    with large.open("wb") as file:
        file.truncate(MAX_BYTES * 8)
    assert len(read_file(str(large))) == MAX_BYTES + 1
    with pytest.raises(DocumentError, match="larger than 16 MiB"):
        load_document(str(large))
