# SPDX-License-Identifier: Apache-2.0
"""The tests of the other tiers, and the demo, inside guests: their kernels, their WireGuard.

Both guests are at work at the same time; each test here waits for one of them.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from krait.lab.machine import Process
from krait.lab.virtual.machine import VirtualMachine
from tests.netns.agent.conftest import Agent
from tests.vm.conftest import JOB_S, KIND, Figures, both_kernels, inside

_DATAPATH, _TRAFFIC, _INTERFACE = (
    "tests/kernel/test_datapath.py",
    "tests/netns/agent/test_traffic.py",
    "tests/netns/agent/test_interface.py",
)
JOB = (
    *("tests/kernel/bpf/test_object.py", "tests/kernel/bpf/test_map.py"),
    *("tests/kernel/bpf/test_capabilities.py", "tests/kernel/test_filter.py"),
    *("tests/kernel/property", "tests/kernel/wireguard/test_observe.py"),
    f"{_DATAPATH}::test_pinned_tables_are_found_again_with_their_policy",
    f"{_DATAPATH}::test_a_dry_run_says_why_and_leaves_no_trace",
    f"{_TRAFFIC}::test_a_live_mesh_is_adopted_without_cutting_what_the_policy_allows",
    f"{_TRAFFIC}::test_a_killed_agent_leaves_its_policy_and_the_next_goes_on_from_it",
    f"{_INTERFACE}::test_an_agent_that_starts_before_the_interface_waits_armed",
    f"{_INTERFACE}::test_an_interface_that_is_made_again_is_shut_until_its_policy_is_committed",
    "tests/netns/scenarios/test_revocation.py",
)
"""Load and layout, verdicts, ways to attach, WireGuard's dumps; the agent's start, restart and
drop-in; revocation: what a kernel could do differently."""

_FLOODS = "unseen and EGRESS"
LEFT_OUT = {"6.1": f"({_FLOODS}) or bob", "6.12": f"({_FLOODS}) or alice or clsact"}
"""By name, for an emulated processor is slow: each way to attach where it is the best there is,
each end of a revocation once, and one flood."""

PACKETS = 400
KRAIT = str(Path(sys.executable).with_name("krait"))

_VERIFIED = """
import json
from contextlib import closing
from krait.kernel.bpf.program import program_info
from krait.kernel.datapath import Datapath
from krait.policy.image import SMALLEST
with closing(Datapath.load(SMALLEST)) as datapath:
    infos = {hook.value: program_info(each.fd) for hook, each in datapath.programs.items()}
print(json.dumps({hook: info.verified_instructions for hook, info in infos.items()}))
"""


_FIRST = """
umask 077
wg genkey >/run/key
ip link add wg0 type wireguard
wg set wg0 private-key /run/key
ip address add 10.8.0.1/24 dev wg0
ip link set wg0 up
printf 'nodes: {me: {public_key: "%s", tags: [a]}}\npolicy: {rules: [{name: a, from: a, to: a}]}' \\
  "$(wg pubkey </run/key)" >/run/me.yaml
exec krait --iface wg0 --config /run/me.yaml
"""


@pytest.fixture(scope="module")
def enforced_s(guests: Mapping[str, VirtualMachine]) -> Mapping[str, float]:
    """When each guest's first policy was in force, in seconds of its own clock, which its boot
    began: the first that is done there.
    """
    agents = {series: Agent(machine.spawn(_FIRST)) for series, machine in guests.items()}
    found = {
        series: agent.wait_for("commit")["stored_ns"] / 1e9 for series, agent in agents.items()
    }
    for series, agent in agents.items():
        agent.stop()
        guests[series].succeed("krait detach wg0; ip link delete wg0")
    return found


@pytest.fixture(scope="module")
def jobs(
    guests: Mapping[str, VirtualMachine],
    enforced_s: Mapping[str, float],  # noqa: ARG001 - comes first
) -> Mapping[str, Process]:
    """The run of pytest in each guest."""
    pytest_ = f"pytest -q --durations=10 -p no:cacheprovider {' '.join(JOB)}"
    return {
        series: inside(
            machine, f"{pytest_} -k 'not ({LEFT_OUT[series]})'", KRAIT_PROPERTY_PACKETS=str(PACKETS)
        )
        for series, machine in guests.items()
    }


@pytest.fixture(scope="module")
def demos(
    guests: Mapping[str, VirtualMachine], jobs: Mapping[str, Process]
) -> Mapping[str, Process]:
    """The demo in each guest, after its tests, which would disturb it."""
    for job in jobs.values():
        job.wait(JOB_S)
    return {series: inside(machine, "krait demo --json") for series, machine in guests.items()}


@pytest.fixture(scope="module")
def hosts_matrix() -> dict[tuple[str, ...], tuple[Any, ...]]:
    """What the demo finds here, cell by cell."""
    done = subprocess.run([KRAIT, "demo", "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return matrix(json.loads(done.stdout))


def matrix(report: Mapping[str, Any]) -> dict[tuple[str, ...], tuple[Any, ...]]:
    """Of each cell of each act: what the policy says, by which rule, and whether it got through."""
    return {
        (act["act"], cell["from"], cell["to"], cell["probe"], str(cell["family"])): (
            cell["allowed"],
            cell["rule"],
            cell["answer"] == "ok",
        )
        for act in report["acts"]
        for cell in act.get("cells", ())
    }


@both_kernels
def test_a_machine_enforces_soon_after_its_boot(
    enforced_s: Mapping[str, float], series: str, figures: Figures
) -> None:
    figures(f"Linux {series}: a policy in force {enforced_s[series]:.1f} s after the boot began")
    assert enforced_s[series] > 0


@both_kernels
def test_the_verifier_takes_both_programs(
    guests: Mapping[str, VirtualMachine], series: str, figures: Figures
) -> None:
    command = ["python", "-c", _VERIFIED]
    verified = json.loads(guests[series].succeed(command))
    figures(f"Linux {series}: the verifier walked {verified} instructions of its million")
    assert 0 < max(verified.values()) < 500_000


@both_kernels
def test_the_tests_of_kernel_and_agent_hold(
    jobs: Mapping[str, Process], series: str, figures: Figures
) -> None:
    code = jobs[series].wait(JOB_S)
    stdout = jobs[series].stdout
    assert code == 0, f"{stdout}\n--- stderr\n{jobs[series].stderr}"
    figures(f"Linux {series}: {stdout.splitlines()[-1].strip('= ')}")


@both_kernels
def test_the_demo_agrees_with_the_hosts(
    demos: Mapping[str, Process],
    hosts_matrix: dict[tuple[str, ...], tuple[Any, ...]],
    series: str,
    figures: Figures,
) -> None:
    code = demos[series].wait(JOB_S)
    assert code == 0, f"{demos[series].stdout}\n--- stderr\n{demos[series].stderr}"
    report = json.loads(demos[series].stdout)
    assert (report["wireguard"], report["attach"]) == ("kernel", KIND[series].value)
    assert report["ok"]
    assert matrix(report) == hosts_matrix
    figures(f"Linux {series}: {len(hosts_matrix)} cells of the demo agree with the host's")
