# SPDX-License-Identifier: Apache-2.0
"""krait@wg0.service beside wg-quick@wg0.service, where systemd is PID 1."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from krait.lab.virtual.kernels import Kernel
from krait.lab.virtual.machine import VirtualMachine
from krait.lab.virtual.systemd import BOOTED, systemd
from tests.patience import wait_until
from tests.vm.conftest import JOB_S, Figures, booted
from tests.vm.unit import FILES, KRAIT, UNIT

QUICK = "wg-quick@wg0.service"
CAPABILITIES = 1 << 12 | 1 << 38 | 1 << 39
"""CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF (include/uapi/linux/capability.h)."""

_QUICK = """
[Interface]
PrivateKey = {key}
Address = 10.8.0.1/24
ListenPort = 51820
"""
_DOCUMENT = """
nodes:
  me: {{public_key: "{key}", tags: [a]}}
policy:
  rules:
    - {{name: {rule}, from: a, to: a}}
"""


class Host:
    """The guest, as its operator sees it."""

    def __init__(self, machine: VirtualMachine, public_key: str) -> None:
        self.machine = machine
        self._key = public_key

    def document(self, rule: str) -> str:
        return _DOCUMENT.format(key=self._key, rule=rule)

    def state(self, unit: str, *properties: str) -> dict[str, str]:
        """Properties of a unit."""
        command = ["systemctl", "show", unit, *(f"--property={each}" for each in properties)]
        lines = self.machine.succeed(command).splitlines()
        return dict(line.split("=", 1) for line in lines)

    def pid(self) -> int:
        return int(self.state(UNIT, "MainPID")["MainPID"])

    def log(self, event: str) -> list[dict[str, Any]]:
        """The lines of the agent's log whose event begins like this."""
        lines = self.machine.succeed(["journalctl", "--unit", UNIT, "--output", "cat"]).splitlines()
        told = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in told if str(line["event"]).startswith(event)]

    def status(self) -> dict[str, Any]:
        """What `krait status` finds of wg0, whether or not an agent lives."""
        _, stdout = self.machine.execute([str(KRAIT), "status", "wg0", "--json"])
        found: dict[str, Any] = json.loads(stdout)["interfaces"][0]
        return found


@pytest.fixture(scope="module")
def host(kernels: Mapping[str, Kernel], figures: Figures) -> Iterator[Host]:
    """Both units are started by the boot; returns once it is through."""
    private = subprocess.run(["wg", "genkey"], capture_output=True, text=True, check=True).stdout
    public = subprocess.run(
        ["wg", "pubkey"], input=private, capture_output=True, text=True, check=True
    ).stdout.strip()
    files = {
        **FILES,
        "/etc/wireguard/wg0.conf": _QUICK.format(key=private.strip()),
        "/etc/krait/wg0.yaml": _DOCUMENT.format(key=public, rule="first"),
    }
    machine = VirtualMachine("systemd", kernels["6.12"], setting=systemd((UNIT, QUICK), files))
    with booted({"systemd": machine}, figures):
        state = machine.run(BOOTED, timeout_s=JOB_S).stdout.strip()
        failed = machine.execute("systemctl --failed; journalctl -b -p warning --no-pager")[1]
        assert state == "running", failed
        figures(f"systemd: {machine.succeed(['systemd-analyze', 'time']).splitlines()[0]}")
        yield Host(machine, public)


def test_systemd_is_pid_1_and_runs_a_unit_whose_state_can_be_read(host: Host) -> None:
    assert host.machine.succeed(["cat", "/proc/1/comm"]) == "systemd\n"
    host.machine.succeed("systemd-run --unit=nap sleep 1000")
    assert host.state("nap.service", "ActiveState", "SubState") == {
        "ActiveState": "active",
        "SubState": "running",
    }
    host.machine.succeed("systemctl stop nap")


def test_at_boot_the_filter_waits_before_the_interface_is_made(
    host: Host, figures: Figures
) -> None:
    armed = host.state(UNIT, "ActiveState", "ActiveEnterTimestampMonotonic")
    quick = host.state(QUICK, "ActiveState", "ExecMainStartTimestampMonotonic")
    assert (armed["ActiveState"], quick["ActiveState"]) == ("active", "active")
    assert int(armed["ActiveEnterTimestampMonotonic"]) <= int(
        quick["ExecMainStartTimestampMonotonic"]
    )
    wait_until(lambda: host.log("commit"))
    stored_s = host.log("commit")[0]["stored_ns"] / 1e9
    figures(f"systemd: a policy in force {stored_s:.1f} s after the boot began")


def test_the_agent_has_three_capabilities_and_no_more(host: Host) -> None:
    lines = host.machine.succeed(["grep", "^Cap", f"/proc/{host.pid()}/status"]).splitlines()
    held = {name: int(value, 16) for name, value in (line.split(":") for line in lines)}
    assert held["CapEff"] == held["CapPrm"] == held["CapBnd"] == CAPABILITIES


def test_reload_takes_an_edited_document(host: Host) -> None:
    host.machine.write("/etc/krait/wg0.yaml", host.document("second"))
    host.machine.succeed(["systemctl", "reload", UNIT])
    wait_until(lambda: "second" in host.status()["rules"], host.status)


def test_an_agent_that_crashes_is_started_again_and_the_policy_holds_meanwhile(host: Host) -> None:
    before = host.pid()
    host.machine.succeed(f"kill -9 {before}")
    assert "second" in host.status()["rules"]
    wait_until(lambda: host.pid() not in {0, before})
    wait_until(lambda: host.state(UNIT, "ActiveState")["ActiveState"] == "active")
    assert host.state(UNIT, "NRestarts") == {"NRestarts": "1"}


def test_a_stopped_service_leaves_the_policy_in_force(host: Host) -> None:
    host.machine.succeed(["systemctl", "stop", UNIT])
    assert host.state(UNIT, "ActiveState", "Result") == {
        "ActiveState": "inactive",
        "Result": "success",
    }
    assert "second" in host.status()["rules"]


def test_what_systemd_thinks_of_the_units_exposure(host: Host, figures: Figures) -> None:
    told = host.machine.succeed(["systemd-analyze", "security", "--no-pager", UNIT])
    figures(f"systemd-analyze security: {told.splitlines()[-1].strip('→ ')}")
