# SPDX-License-Identifier: Apache-2.0
import io
import json
import os
import sys
from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from krait.agent.paths import Paths
from krait.cli.main import main
from krait.kernel.wireguard.x25519 import public_key

KEY = "qO2qYRtfhKsc4VbX4wkQVG8pTdJrM0wXoBqCR8Yh5Gc="
"""A private one."""

PUBLIC = b64encode(public_key(b64decode(KEY))).decode()
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Paths, "here", lambda: Paths(state=tmp_path / "state"))
    return tmp_path / "state"


def test_a_key_is_made_once_and_its_public_one_printed(state: Path, capsys: Capture) -> None:
    assert main(["genkey", "wg0"]) == 0
    first = capsys.readouterr()
    secret = b64decode((state / "wg0.key").read_bytes())
    assert first.out == b64encode(public_key(secret)).decode() + "\n"
    assert first.err == ""
    assert main(["genkey", "wg0"]) == 0
    assert capsys.readouterr().out == first.out


def test_json_says_where_it_is_and_whether_it_is_new(state: Path, capsys: Capture) -> None:
    for made in (True, False):
        assert main(["genkey", "wg0", "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report.keys() == {"interface", "file", "made", "public_key", "warnings"}
        assert (report["interface"], report["made"]) == ("wg0", made)
        assert report["file"] == str(state / "wg0.key")


def test_a_key_is_imported_from_a_file_of_wg_quick(
    tmp_path: Path, state: Path, capsys: Capture
) -> None:
    (tmp_path / "wg0.conf").write_text(f"[Interface]\nPrivateKey = {KEY}\n")
    assert main(["genkey", "wg0", "--import", str(tmp_path / "wg0.conf")]) == 0
    assert capsys.readouterr().out == f"{PUBLIC}\n"
    assert (state / "wg0.key").read_text() == f"{KEY}\n"


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o644, True)])
def test_a_file_that_others_may_read_is_imported_with_a_warning(
    mode: int, warned: bool, tmp_path: Path, capsys: Capture
) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(mode)
    assert main(["genkey", "wg0", "--import", str(file)]) == 0
    told = capsys.readouterr()
    assert told.out == f"{PUBLIC}\n"
    assert ("others may have read the key" in told.err) is warned
    assert ("hint: chmod 600" in told.err) is warned
    assert main(["genkey", "wg0", "--import", str(file), "--json"]) == 0
    assert bool(json.loads(capsys.readouterr().out)["warnings"]) is warned


def test_a_key_is_imported_from_a_pipe(capsys: Capture) -> None:
    reader, writer = os.pipe()
    os.write(writer, KEY.encode())
    os.close(writer)
    assert main(["genkey", "wg0", "--import", f"/dev/fd/{reader}"]) == 0
    os.close(reader)
    assert capsys.readouterr() == (f"{PUBLIC}\n", "")


def test_a_key_is_imported_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{KEY}\n".encode())))
    assert main(["genkey", "wg0", "--import", "-"]) == 0
    assert capsys.readouterr().out == f"{PUBLIC}\n"


BAD = {
    "an interface that is none": (["../wg0"], 2, "is not an interface name"),
    "no interface": ([], 2, "the following arguments are required: IFACE"),
    "no such file": (["wg0", "--import", "/nonexistent"], 2, "cannot read /nonexistent: No such"),
    "a folder": (["wg0", "--import", "/"], 2, "cannot read /: Is a directory"),
    "no file": (["wg0", "--import", "a\0b"], 2, "cannot read"),
    "no key": (["wg0", "--import", "/dev/null"], 2, "this is no WireGuard private key"),
    "the key itself": (["wg0", "--import", KEY], 2, "--import wants a file, not the key"),
}


@pytest.mark.parametrize(("arguments", "code", "message"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_is_told_and_nothing_is_made(
    arguments: list[str], code: int, message: str, state: Path, capsys: Capture
) -> None:
    assert main(["genkey", *arguments]) == code
    told = capsys.readouterr()
    assert message in told.err
    assert not state.exists()
    assert KEY[:-4] not in told.out + told.err


@pytest.mark.parametrize("option", [[], ["--json"]])
@pytest.mark.parametrize(("is_there", "is_open"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("content", [KEY, KEY[:-2], f"{KEY}\n{KEY}", f"x{KEY}"])
def test_a_private_key_is_in_no_output_whatever_goes_wrong(
    content: str,
    option: list[str],
    is_there: bool,
    is_open: bool,
    tmp_path: Path,
    state: Path,
    capsys: Capture,
) -> None:
    (tmp_path / "key").write_text(content)
    state.mkdir(mode=0o755)
    if is_there:
        (state / "wg0.key").write_text(content)
    if is_open:
        state.chmod(0o777)
    main(["genkey", "wg0", "--import", str(tmp_path / "key"), *option])
    main(["genkey", "wg0", *option])
    told = capsys.readouterr()
    assert told.out + told.err
    assert KEY[1:40] not in told.out + told.err
