# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from krait.cli.main import main

COMMITTED = Path(__file__).parents[4] / "docs" / "krait.schema.json"


def test_the_schema_is_printed_as_it_is_committed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == COMMITTED.read_text()
