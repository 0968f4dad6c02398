# SPDX-License-Identifier: Apache-2.0
import pytest

from krait.lab.machine import CommandFailed, CommandTimedOut, subtest
from krait.lab.namespace import NamespaceMachine


def test_succeed_returns_what_the_command_wrote(machine: NamespaceMachine) -> None:
    assert machine.succeed(["echo", "a  b"]) == "a  b\n"
    assert machine.succeed("echo $((6 * 7))") == "42\n"


def test_succeed_raises_with_both_outputs_of_a_command_that_fails(
    machine: NamespaceMachine,
) -> None:
    with pytest.raises(CommandFailed, match="exit code 3") as caught:
        machine.succeed("echo told; echo why >&2; exit 3")
    assert "told" in str(caught.value)
    assert "why" in str(caught.value)


def test_a_command_is_a_program_and_none_of_a_shells_own(machine: NamespaceMachine) -> None:
    machine.fail(["type", "kill"])  # a shell outside would end the host's process of that number


def test_fail_raises_when_the_command_succeeds(machine: NamespaceMachine) -> None:
    machine.fail("false")
    with pytest.raises(CommandFailed, match="should have failed"):
        machine.fail("true")


def test_a_machine_that_is_down_is_no_proof_that_a_command_fails() -> None:
    down = NamespaceMachine("down")
    with pytest.raises(CommandFailed, match="down"):
        down.fail("true")


def test_execute_returns_code_and_output(machine: NamespaceMachine) -> None:
    assert machine.execute("echo out; exit 7") == (7, "out\n")


def test_a_command_that_hangs_is_killed_with_its_children(machine: NamespaceMachine) -> None:
    with pytest.raises(CommandTimedOut):
        machine.succeed("sleep 1000 & sleep 1000", timeout_s=0.2)
    machine.wait_until_fails("grep -hs sleep /proc/[0-9]*/comm")


def test_a_command_that_ends_by_itself_as_it_is_killed_is_as_good_as_killed(
    machine: NamespaceMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = machine.spawn("sleep 0.2")
    monkeypatch.setattr(type(process), "kill", lambda it: it.wait())
    process.kill_all()
    assert not process.is_running()


def test_waiting_ends_when_the_command_changes_its_mind(machine: NamespaceMachine) -> None:
    machine.spawn(
        "sleep 0.2; touch /run/there; until rm /run/seen; do sleep 0.1; done; rm /run/there"
    )
    machine.wait_until_succeeds(["test", "-e", "/run/there"])
    machine.succeed(["touch", "/run/seen"])
    machine.wait_until_fails(["test", "-e", "/run/there"])


def test_waiting_gives_up_also_on_a_command_that_hangs(machine: NamespaceMachine) -> None:
    with pytest.raises(CommandTimedOut, match=r"not within 0\.2 s"):
        machine.wait_until_succeeds("sleep 1000", timeout_s=0.2)


def test_an_open_port_is_waited_for(machine: NamespaceMachine) -> None:
    with pytest.raises(CommandTimedOut):
        machine.wait_for_open_port(8000, timeout_s=0.2)
    machine.spawn("sleep 0.2; exec python3 -m http.server --bind ::1 8000")
    machine.wait_for_open_port(8000, "::1")


def test_a_file_is_written_with_its_folders_for_its_owner_only(machine: NamespaceMachine) -> None:
    machine.write("/run/deep/er/file", "text\nand more\n")
    assert machine.succeed(["cat", "/run/deep/er/file"]) == "text\nand more\n"
    assert machine.succeed(["stat", "-c", "%a", "/run/deep/er/file"]) == "600\n"


def test_output_that_never_comes_is_told_from_a_process_that_ended(
    machine: NamespaceMachine,
) -> None:
    with pytest.raises(CommandFailed, match="still without"):
        machine.spawn("sleep 1000").wait_for_output("ready", timeout_s=0.1)
    with pytest.raises(CommandFailed, match="ended without"):
        machine.spawn("echo no").wait_for_output("ready")


def test_a_subtest_is_reported_and_named_in_what_it_raises() -> None:
    lines: list[str] = []
    with subtest("all is well", lines.append):
        pass
    with pytest.raises(ValueError, match="odd") as caught, subtest("breaks", lines.append):
        raise ValueError("odd")
    assert caught.value.__notes__ == ["in subtest: breaks"]
    assert [line.partition(":")[0] for line in lines] == ["all is well", "breaks"]
