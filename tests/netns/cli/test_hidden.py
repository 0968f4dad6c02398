# SPDX-License-Identifier: Apache-2.0
"""Where the bpf file system is hidden, nobody says that nothing is enforced."""

import json
from collections.abc import Iterator

import pytest

from krait.lab.machine import Outcome
from krait.lab.mesh import Lab, full_mesh
from krait.lab.namespace import NamespaceMachine
from tests.netns.cli.test_status import enforce

UNMOUNTED = "unshare --mount sh -c 'umount /sys/fs/bpf && $0 $@' krait"
EXEC = "ip netns exec blue krait"
PRIVATE = "ip netns exec blue sh -c 'mount -t bpf -o mode=0700 bpf /sys/fs/bpf && $0 $@' krait"


@pytest.fixture(scope="module")
def machine() -> Iterator[NamespaceMachine]:
    """One with a policy in force and no agent, in a network namespace that was named later."""
    with Lab(full_mesh("x", "y")) as lab:
        agent = enforce(lab["x"])
        agent.kill()
        agent.wait()
        for name in "xy":
            lab[name].succeed("ip netns attach blue 1")
        yield lab["x"]
        assert json.loads(lab["y"].run(f"{PRIVATE} status --json").stdout)["interfaces"] == []
        assert "wg0: there was nothing" in lab["y"].succeed(f"{PRIVATE} detach wg0")


def said(outcome: Outcome) -> str:
    """What an error says, its lines joined. Exit code 3."""
    assert outcome.code == 3
    return " ".join(outcome.stderr.split())


@pytest.mark.parametrize("command", ["status wg0", "status", "detach wg0"])
@pytest.mark.parametrize(
    ("where", "message"),
    [
        (UNMOUNTED, "the bpf file system is not visible here: /sys/fs/bpf is another"),
        (EXEC, "the bpf file system is not visible here: /sys/fs/bpf is another"),
        (PRIVATE, "what Krait pinned for wg0 is on another bpf file system than /sys/fs/bpf"),
    ],
)
def test_what_cannot_be_seen_is_not_judged(
    machine: NamespaceMachine, where: str, message: str, command: str
) -> None:
    told = said(machine.run(f"{where} {command}"))
    assert message in told
    assert "nsenter --net=/run/netns/blue krait" in told
    assert "mount -t bpf" not in told
    assert machine.succeed("nsenter --net=/run/netns/blue krait status").startswith(
        "wg0: enforcing"
    )


@pytest.mark.parametrize("where", [UNMOUNTED, EXEC, PRIVATE])
def test_doctor_says_it_too(machine: NamespaceMachine, where: str) -> None:
    found = json.loads(machine.run(f"{where} doctor --json").stdout)["findings"]
    (bpffs,) = (each for each in found if each["name"] == "bpffs")
    assert bpffs["level"] == "fail"
    assert "nsenter --net=/run/netns/blue krait" in bpffs["hint"]


def test_a_file_system_of_its_own_is_fit_for_a_mount_namespace_of_its_own(
    machine: NamespaceMachine,
) -> None:
    private = (
        "unshare --net --mount sh -c 'mount -t bpf -o mode=0700 bpf /sys/fs/bpf && $0 $@' krait"
    )
    found = json.loads(machine.run(f"{private} doctor --json").stdout)["findings"]
    (bpffs,) = (each for each in found if each["name"] == "bpffs")
    assert bpffs["level"] == "warn"
    assert "for this mount namespace alone" in bpffs["message"]


def test_without_a_name_the_way_is_to_where_it_is_seen(machine: NamespaceMachine) -> None:
    told = said(machine.run(f"unshare --net {UNMOUNTED} status wg0"))
    assert "run this where it is seen: nsenter -t 1 -m krait" in told
