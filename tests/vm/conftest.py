# SPDX-License-Identifier: Apache-2.0
"""Guests for the vm tier, and what its tests say of them: figures, and the logs of what failed."""

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import pytest

from krait.common.errors import SystemRefused
from krait.kernel.seat import AttachKind
from krait.lab.machine import Process, patient
from krait.lab.virtual.kernels import SERIES, Kernel, obtain
from krait.lab.virtual.machine import VirtualMachine
from krait.lab.virtual.qemu import Board, slowness
from tests.figures import Figures as Figures  # those of the vm tier import it from here
from tests.requirements import cannot_run

KIND = {"6.1": AttachKind.CLSACT, "6.12": AttachKind.TCX}
"""How agents attach there, by themselves."""

JOB_S = patient(900.0)
"""For a whole run of tests, or a demo, in a guest."""

both_kernels = pytest.mark.parametrize("series", SERIES)


@pytest.fixture(scope="session")
def kernels() -> Mapping[str, Kernel]:
    """The kernels that guests boot, by series; fetched by the first run."""
    try:
        return {series: obtain(series) for series in SERIES}
    except SystemRefused as error:
        cannot_run(f"{error.message}. {error.hint}")


_UP: list[VirtualMachine] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the kernels of the guests said, too, where a test fails."""
    report = yield
    if report.failed:
        consoles = ((f"console of {machine.name}", machine.console) for machine in _UP)
        report.sections += [(title, console[-4000:]) for title, console in consoles]
    return report


@contextmanager
def booted(machines: Mapping[str, VirtualMachine], figures: Figures) -> Iterator[None]:
    """Boot guests side by side, and end them."""
    started_s = time.monotonic()
    with ExitStack() as stack:
        for machine in machines.values():
            stack.callback(machine.crash)
            _UP.append(machine)
            stack.callback(_UP.remove, machine)
            machine.boot()
        for machine in machines.values():
            machine.start()
            figures(
                f"{machine.name}, Linux {machine.kernel.release}: {machine.boot_s:.1f} s from power"
                f" to the first command, {machine.lost_boots} boots lost"
            )
        figures(f"{len(machines)} booted side by side in {time.monotonic() - started_s:.1f} s")
        yield


@pytest.fixture(scope="session")
def guests(
    kernels: Mapping[str, Kernel], figures: Figures
) -> Iterator[Mapping[str, VirtualMachine]]:
    """A guest of each series, by series, without a network."""
    machines = {
        series: VirtualMachine(f"linux-{series}", kernel, board=Board(memory_mib=1024))
        for series, kernel in kernels.items()
    }
    with booted(machines, figures):
        yield machines


def inside(machine: VirtualMachine, command: str, **variables: str) -> Process:
    """Start a command in a guest as a test runs there: as patient as must be, nothing kept."""
    given = {
        "CI": "true",
        "KRAIT_TIMEOUT_SCALE": str(patient(slowness(machine.kernel))),
        "PYTHONDONTWRITEBYTECODE": "",  # nothing is kept; what is compiled once serves the next
        **variables,
    }
    settings = " ".join(f"{name}={value}" for name, value in given.items())
    return machine.spawn(f"{settings} {command}")
