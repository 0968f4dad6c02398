# SPDX-License-Identifier: Apache-2.0
"""The Nix files are Nix, and the module makes of its options what it should.

Not evaluated, as nothing here can fetch nixpkgs: types and merging of options, the package's build,
the machines of the test. A stand-in for nixpkgs' library (nix/lib.nix) has what the module calls.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.released import ROOT
from tests.requirements import need_tools

need_tools("nix-instantiate")

HERE = Path(__file__).parent / "nix"
FILES = [ROOT / "flake.nix", *sorted((ROOT / "packaging" / "nix").glob("*.nix"))]


def nix(*arguments: str | Path) -> str:
    command = ["nix-instantiate", "--store", "dummy://", "--option", "substituters", "", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def evaluate(instances: str) -> dict[str, Any]:
    """The module's configuration, of `services.krait` as Nix."""
    expression = f"import {HERE}/evaluate.nix {{ instances = {instances}; }}"
    made = json.loads(nix("--eval", "--strict", "--json", "--expr", expression))
    found: dict[str, Any] = made["config"]
    return found


def failed(config: dict[str, Any]) -> list[str]:
    return [each["message"] for each in config["assertions"] if not each["assertion"]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.name))
def test_it_is_nix(file: Path) -> None:
    nix("--parse", file)


def test_a_document_that_is_a_value_is_checked_when_the_system_is_built() -> None:
    config = evaluate("{ wg0.settings.nodes = { }; }")
    assert config["environment"]["etc"] == {"krait/wg0.yaml": {"source": "/built/krait-wg0.yaml"}}
    assert not failed(config)


def test_an_instance_is_the_packages_unit_with_its_own_document() -> None:
    config = evaluate('{ wg0.configFile = "/etc/a"; wg1.configFile = "/etc/b"; }')
    assert config["systemd"]["packages"] == ["/krait"]
    units = config["systemd"]["services"]
    assert set(units) == {"krait@wg0", "krait@wg1"}
    unit = units["krait@wg0"]
    assert unit["overrideStrategy"] == "asDropin"
    assert unit["wantedBy"] == ["multi-user.target"]
    assert unit["serviceConfig"] == {}
    assert "wg-quick-wg0.service" in unit["before"]
    assert unit["reloadTriggers"] == ["/etc/a"]


@pytest.mark.parametrize(
    ("more", "command"),
    [
        ('attach = "clsact";', "agent --iface wg0 --attach clsact"),
        ("manage = true;", "up wg0 --config /etc/krait/wg0.yaml --foreground"),
    ],
)
def test_what_only_the_command_line_says_replaces_the_units_command(
    more: str, command: str
) -> None:
    config = evaluate(f'{{ wg0 = {{ configFile = "/etc/a"; {more} }}; }}')
    found = config["systemd"]["services"]["krait@wg0"]["serviceConfig"]["ExecStart"]
    assert found == ["", f"/krait/bin/krait {command}"]


def test_the_port_is_opened_where_that_is_asked() -> None:
    given = "settings.mesh.listen_port = 51820;"
    for more, ports in (("", []), ("openFirewall = true;", [51820])):
        config = evaluate(f"{{ wg0 = {{ {given} {more} }}; }}")
        assert config["networking"]["firewall"]["allowedUDPPorts"] == ports


@pytest.mark.parametrize(
    ("instance", "message"),
    [
        ("{ }", "say either configFile or settings"),
        ('{ configFile = "/etc/a"; settings = { }; }', "say either configFile or settings"),
        ('{ configFile = "/etc/a"; openFirewall = true; }', "needs settings.mesh.listen_port"),
    ],
)
def test_what_cannot_be_meant_is_refused(instance: str, message: str) -> None:
    (found,) = failed(evaluate(f"{{ wg0 = {instance}; }}"))
    assert found.startswith("services.krait.wg0: ")
    assert message in found


def test_without_an_instance_nothing_is_configured() -> None:
    assert evaluate("{ }") == {}
