# SPDX-License-Identifier: Apache-2.0
"""Tests of the kernel tier inside guests, on their kernels.

Both guests are at work at the same time; each test here waits for one of them.
"""

import json
from collections.abc import Mapping

import pytest

from krait.lab.machine import Process
from krait.lab.virtual.machine import VirtualMachine
from tests.netns.agent.conftest import Agent
from tests.vm.conftest import JOB_S, Figures, both_kernels, inside

_DATAPATH = "tests/kernel/test_datapath.py"
JOB = (
    *("tests/kernel/bpf/test_object.py", "tests/kernel/bpf/test_map.py"),
    *(
        "tests/kernel/bpf/test_capabilities.py",
        "tests/kernel/test_filter.py",
        "tests/kernel/test_filter_devices.py",
        "tests/kernel/test_shadow.py",
        "tests/kernel/test_rejection.py",
        "tests/kernel/test_guard.py",
        "tests/kernel/test_guards.py",
        "tests/kernel/property",
    ),
    f"{_DATAPATH}::test_pinned_tables_are_found_again_with_their_policy",
    f"{_DATAPATH}::test_a_dry_run_says_why_and_leaves_no_trace",
)
"""Load and layout, verdicts, ways to attach: what a kernel could do differently. By name without
one of two floods, without the filling of tables, and without what has to be quicker than a tick: an
emulated processor is slow.
"""

LEFT_OUT = "(unseen and EGRESS) or often_enough or hands_back or room_for"
PACKETS = 400

_VERIFIED = """
import json
from contextlib import closing
from dataclasses import replace
from krait.kernel.bpf.program import program_info
from krait.kernel.datapath import Datapath
from krait.policy.capacity import SMALLEST
walked = {}
for kind, room in (("", SMALLEST), (" with a shadow", replace(SMALLEST, shadow_rules=64))):
    with closing(Datapath.load(room)) as datapath:
        for hook, each in datapath.programs.items():
            walked[hook.value + kind] = program_info(each.fd).verified_instructions
print(json.dumps(walked))
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
            machine, f"{pytest_} -k 'not ({LEFT_OUT})'", KRAIT_PROPERTY_PACKETS=str(PACKETS)
        )
        for series, machine in guests.items()
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
    assert min(verified.values()) > 0
    assert max(each for what, each in verified.items() if "shadow" not in what) < 500_000
    assert max(verified.values()) < 800_000


@both_kernels
def test_the_tests_of_the_kernel_tier_hold(
    jobs: Mapping[str, Process], series: str, figures: Figures
) -> None:
    code = jobs[series].wait(JOB_S)
    stdout = jobs[series].stdout
    assert code == 0, f"{stdout}\n--- stderr\n{jobs[series].stderr}"
    figures(f"Linux {series}: {stdout.splitlines()[-1].strip('= ')}")
