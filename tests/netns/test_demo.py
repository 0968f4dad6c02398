# SPDX-License-Identifier: Apache-2.0
"""`krait demo`, whole: what it shows, that it can fail, and that it leaves nothing behind."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from krait.cli.demo import page
from krait.cli.output import WIDTH
from krait.lab import keeper
from krait.lab.demo.acts import enforce, revoke
from krait.lab.demo.findings import Enforced
from krait.lab.demo.matrix import wrong
from krait.lab.demo.stage import INTERFACE, Stage
from krait.lab.machine import TIMEOUT_S, patient
from tests.patience import wait_until

KRAIT = str(Path(sys.executable).with_name("krait"))


def start(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        # ^C counts here, also where these tests run in the background of a shell.
        ["env", "--default-signal=INT", KRAIT, "demo", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def outputs(demo: subprocess.Popen[str]) -> tuple[str, str]:
    return demo.communicate(timeout=patient(300))


def holders(pid: int) -> list[int]:
    """The machines that a demo has made so far, by the process that holds each."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if _comm(int(child)) == "unshare"]


def interrupted(number: signal.Signals) -> tuple[subprocess.Popen[str], list[int]]:
    """A demo that a signal ended, and the machines that it had made until then."""
    demo = start()
    wait_until(lambda: len(holders(demo.pid)) >= 5)
    machines = holders(demo.pid)
    demo.send_signal(number)
    outputs(demo)
    return demo, machines


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):  # before it was opened, or after
        return ""


@dataclass(frozen=True)
class Shown:
    """Two demos that ran at once: one for programs that was left up on TCX, one on clsact."""

    report: dict[str, Any]
    page: str
    progress: str


@pytest.fixture(scope="module")
def shown(no_other_keepers: None) -> Iterator[Shown]:  # noqa: ARG001 - for as long
    left_up = start("--json", "--keep", "--attach", "tcx")
    page = start("--attach", "clsact")
    report, stdout = json.loads(outputs(left_up)[0]), outputs(page)
    yield Shown(report, *stdout)
    keeper.end([report["kept"]["pid"]])
    assert (left_up.returncode, page.returncode) == (0, 0)


def test_every_cell_agrees_and_every_act_holds(shown: Shown) -> None:
    enforced, revoked, orphaned = shown.report["acts"]
    assert shown.report["attach"] == "tcx"
    assert [act["held"] for act in shown.report["acts"]] == [True] * 3
    assert enforced["open_before"] == len(enforced["cells"]) == len(orphaned["cells"]) == 120
    assert {cell["allowed"] for cell in enforced["cells"]} == {True, False}
    assert all(cell["agrees"] for act in (enforced, orphaned) for cell in act["cells"])
    assert {(cut["from"], cut["flow"]) for cut in revoked["cuts"]} == {
        (host, flow) for host in ("web1", "web2") for flow in ("tcp/8081", "udp/8081")
    }
    assert [flow["flow"] for flow in orphaned["flows"]] == ["tcp/9000", "udp/9000"]


def test_a_revocation_changes_the_cells_of_the_suspect_only(shown: Shown) -> None:
    enforced, _, orphaned = shown.report["acts"]
    both = zip(enforced["cells"], orphaned["cells"], strict=True)
    assert {old["from"] for old, new in both if old["answer"] != new["answer"]} == {"web1"}


def test_the_page_fits_a_terminal_and_is_plain_in_a_pipe(shown: Shown) -> None:
    lines = shown.page.splitlines()
    assert shown.progress == ""
    assert "\x1b" not in shown.page
    assert len(lines) <= 60
    assert max(map(len, lines)) <= WIDTH
    assert lines[1].endswith("filter: clsact")
    assert lines[-1].startswith("✓ Every cell agrees and every act held")


def test_what_is_kept_can_be_tried_until_it_is_taken_down(shown: Shown) -> None:
    kept = shown.report["kept"]
    connect = "timeout {} bash -c '</dev/tcp/10.8.0.1/{}'"
    for port, code, within_s in ((5432, 0, TIMEOUT_S), (22, 124, 1)):
        asked = [*kept["prefixes"]["web2"], "sh", "-c", connect.format(within_s, port)]
        assert subprocess.run(asked, check=False, capture_output=True).returncode == code
    machine = int(kept["prefixes"]["db1"][2])
    assert kept["pid"] in keeper.kept()
    assert _comm(machine)
    subprocess.run([KRAIT, "demo", "--down"], check=True, capture_output=True)
    assert kept["pid"] not in keeper.kept()
    wait_until(lambda: not _comm(machine))


def test_a_host_without_its_filter_is_found_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    with Stage() as stage:
        assert enforce(stage).held
        stage.kill_agents()  # one that lives would not let go
        for host in ("db1", "web1"):
            stage[host].succeed(["krait", "detach", INTERFACE])
        matrix = stage.try_all(stage.document(), silence_s=patient(5.0))  # some should answer
        act = Enforced(len(matrix), matrix, stage.drops())
    found = {(outcome.cell.source, outcome.cell.destination) for outcome in wrong(matrix)}
    assert found == {("db1", "web1"), ("web1", "db1")}
    assert not act.held
    assert set(act.suspects) == {"db1", "web1"}
    page.play(act)
    assert "db1 to web1, tcp/22 over IPv4: passed, but no rule" in capsys.readouterr().out


class Lenient(Stage):
    """A stage whose quarantine is one in name only."""

    def policy(self, *, quarantine: bool = False) -> str:
        text = super().policy()
        return f"{text}# in quarantine\n" if quarantine else text


def test_a_flow_that_goes_on_after_its_revocation_is_found() -> None:
    with Lenient() as stage:
        stage.replace_policy(stage.policy())
        stage.start_agents()
        act = revoke(stage)
    assert act.diff == ("+# in quarantine",)
    assert [cut.held for cut in act.cuts] == [False] * 4
    assert act.kept.held
    assert act.suspects == ("web1", "web2")


def test_an_interrupt_ends_every_machine() -> None:
    demo, machines = interrupted(signal.SIGINT)
    assert demo.returncode == 130
    assert not any(map(_comm, machines))


def test_a_killed_demo_leaves_no_machine_and_the_next_one_runs() -> None:
    _, machines = interrupted(signal.SIGKILL)
    following = start()
    wait_until(lambda: not any(map(_comm, machines)))  # nobody waited for them
    outputs(following)
    assert following.returncode == 0


def test_a_user_without_root_is_told_so() -> None:
    asked = ["setpriv", "--reuid=65534", "--clear-groups", KRAIT, "demo"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "need root" in done.stderr
    assert "hint:" in done.stderr
    assert done.stdout == ""
