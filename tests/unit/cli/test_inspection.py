# SPDX-License-Identifier: Apache-2.0
"""How an inspected interface is told: to people in 80 columns, to programs with all there is."""

import json
import re
import time
from dataclasses import replace

import pytest

from krait.agent.desired import Named
from krait.agent.guarded import Guarded
from krait.agent.inspect import Inspection
from krait.agent.managed.orders import Orders, Standing, Trial, boot_id
from krait.agent.state import Fault, Live
from krait.cli import output
from krait.cli.inspection import enforces, show
from krait.cli.inspection_report import report
from krait.common.abi import RejectionOutcome
from krait.common.guard import GuardReason
from krait.common.reason import Reason
from krait.kernel.generation import Count
from krait.kernel.hook import Hook
from krait.kernel.wireguard import NotWireguard, Peer
from tests.unit.agent.test_inspect import FOUND, RECORD, TABLES, WEB

NOW_S = RECORD.committed_s + 200
LIVE = Live(
    pid=4711,
    since_s=900.0,
    kind="tcx",
    enforcing=True,
    revision=7,
    faults=(Fault("wg0.yaml:3:5: unknown tag", "did you mean web?", NOW_S - 60),),
    warnings=("web1: not in its peer's allowed IPs, so nothing reaches it",),
    withheld=("10.8.0.7/32",),
)
BUSY = Peer(
    WEB,
    "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:51820",
    (),
    latest_handshake_s=int(NOW_S) - 12,
    rx_bytes=1536,
    tx_bytes=5 << 20,
    keepalive_s=0,
)


@pytest.fixture
def found() -> Inspection:
    assert FOUND.device
    drops = {Reason.DENIED: Count(1204, 99_000, 700), Reason.NO_FLOW: Count(1, 60, 901)}
    _, *others = FOUND.device.peers
    return replace(
        FOUND,
        device=replace(FOUND.device, peers=(BUSY, *others)),
        tables=replace(TABLES, drops=drops),
        live=LIVE,
    )


def shown(found: Inspection, capsys: pytest.CaptureFixture[str]) -> str:
    show(found, NOW_S)
    return capsys.readouterr().out


def test_control_characters_of_files_do_not_reach_the_terminal(
    found: Inspection, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = "\x1b]0;x\x07"
    assert found.record
    assert found.live
    numbers = replace(found.record.numbers, rules=(bad, None, "no-ssh"))
    record = replace(
        found.record, source=bad, numbers=numbers, peers={WEB: Named(bad, (bad, "web"))}
    )
    fault = Fault(bad, bad, NOW_S)
    live = replace(found.live, faults=(fault,), warnings=(bad,), withheld=(bad,))
    text = shown(replace(found, record=record, live=live), capsys)
    assert text.count(r"\x1b]0;x\x07") == 8
    assert not {"\x1b", "\x07"} & set(text)


def test_the_state_the_policy_and_the_agent_come_first(
    found: Inspection, capsys: pytest.CaptureFixture[str]
) -> None:
    first, policy, document, agent, filters, *_ = shown(found, capsys).splitlines()
    assert first == "wg0: enforcing"
    assert policy.startswith("  policy     revision 7, committed 1970-01-01")
    assert policy.endswith("(3 min ago)")
    assert document == "  document   /etc/krait/wg0.yaml"
    assert agent == "  agent      alive, pid 4711"
    assert filters == "  filter     ingress: tcx, first; egress: tcx, first"


def test_what_krait_makes_is_told_with_its_document_and_its_trial(
    found: Inspection, capsys: pytest.CaptureFixture[str]
) -> None:
    before, orders = Orders("/etc/krait/wg0.yaml"), Orders("/root/new.yaml")
    live = replace(LIVE, node="web1")
    trial = Trial(boot_id(), time.clock_gettime(time.CLOCK_BOOTTIME) + 100, before)
    tried = replace(found, live=live, standing=Standing(orders, trial))
    text = shown(tried, capsys)
    assert "made by    krait up, as web1, from /root/new.yaml" in text
    assert re.search(r"on trial +goes back in (100|9\d) s, unless: krait confirm wg0", text)
    told = json.loads(json.dumps(report(tried)))
    assert told["made"] == {"document": "/root/new.yaml", "node": "web1", "userspace": None}
    assert 0 < told["trial"].pop("left_s") <= 100
    assert told["trial"] == {"before": "/etc/krait/wg0.yaml"}
    over = replace(found, standing=Standing(orders, replace(trial, boot_id="before")))
    assert "over, and goes back, unless: krait confirm wg0" in shown(over, capsys)
    told = json.loads(json.dumps(report(found)))
    assert (told["made"], told["trial"]) == (None, None)


def test_peers_that_cannot_be_seen_are_missed_aloud(
    found: Inspection, capsys: pytest.CaptureFixture[str]
) -> None:
    assert json.loads(json.dumps(report(found)))["unseen"] is None
    gone = NotWireguard("wg0", "tun", hint="nobody answers at /var/run/wireguard/wg0.sock.")
    text = " ".join(shown(replace(found, device=None, unseen=gone), capsys).split())
    assert "wireguard not seen, nor its peers: wg0 is not a WireGuard interface (kind tun)" in text
    assert "hint: nobody answers at /var/run/wireguard/wg0.sock." in text
    told = json.loads(json.dumps(report(replace(found, device=None, unseen=gone))))
    assert told["wireguard"] is None
    assert told["unseen"] == {"message": gone.message, "hint": gone.hint}


def test_errors_peers_rules_and_drops_are_told(
    found: Inspection, capsys: pytest.CaptureFixture[str]
) -> None:
    text = " ".join(shown(found, capsys).split())
    for part in (
        "error wg0.yaml:3:5: unknown tag (1 min ago) hint: did you mean web?",
        "warning web1: not in its peer's allowed IPs",
        "withheld 10.8.0.7/32: just moved",
        "web1 web (identity 256)",
        "handshake 12 s ago, 1.5 KiB in, 5.0 MiB out, 20 dropped",
        "db1 db (identity 258) no endpoint, no handshake",
        "no-ssh 3 packets, 10 s ago",
        "denied 1,204 packets, 3 s ago: The policy denies this flow",
        "no-flow 1 packet, just now: ",
    ):
        assert part in text


def test_no_line_is_wider_than_a_terminal(
    found: Inspection, capsys: pytest.CaptureFixture[str]
) -> None:
    long = replace(RECORD, peers={WEB: RECORD.peers[WEB]._replace(name="w" * 63)})
    for each in (found, replace(found, record=long), replace(found, record=None)):
        lines = shown(each, capsys).splitlines()
        assert max(map(len, lines)) <= output.WIDTH


def test_a_dead_agent_and_numbers_without_names_are_said(
    found: Inspection, capsys: pytest.CaptureFixture[str]
) -> None:
    text = " ".join(shown(replace(found, pid=None, record=None), capsys).split())
    assert "agent none alive; what is in force stays in force" in text
    assert "revision 7; what was written down is of another" in text
    assert "web1 web" not in text


def test_tables_that_nothing_runs_on_are_not_said_to_be_in_force(
    found: Inspection, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = replace(found, seats=dict.fromkeys(Hook, ()), pid=None)
    lines = shown(bare, capsys).splitlines()
    assert "  agent      none alive" in lines
    assert any(line.startswith("  policy     revision 7 (not attached), ") for line in lines)
    assert "nothing passes" not in "".join(lines)
    half = replace(found, seats={**found.seats, Hook.EGRESS: ()}, pid=None)
    assert "none alive; what is in force stays in force" in shown(half, capsys)


def test_each_problem_of_a_document_has_a_line(
    found: Inspection, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = Fault("wg0.yaml:3:5: unknown tag\nwg0.yaml:9:1: empty", "", NOW_S - 60)
    lines = shown(replace(found, live=replace(LIVE, faults=(fault,))), capsys).splitlines()
    start = lines.index("  error      wg0.yaml:3:5: unknown tag (1 min ago)")
    assert lines[start + 1] == "             wg0.yaml:9:1: empty"


def test_a_peers_line_breaks_before_an_item(
    found: Inspection, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown(found, capsys)
    assert "\N{NO-BREAK SPACE}" not in text
    items = ("handshake 12 s ago", "1.5 KiB in", "5.0 MiB out", "20 dropped")
    for length in range(1, 25):
        named = replace(RECORD, peers={WEB: RECORD.peers[WEB]._replace(name="w" * length)})
        text = shown(replace(found, record=named), capsys)
        assert [item for item in items if item not in text] == []


def test_a_peer_without_a_name_is_told_apart_from_one_that_the_document_lacks(
    found: Inspection, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "?     not in the document; nothing passes\n" in shown(found, capsys)
    assert "not in the document" not in shown(replace(found, record=None), capsys)


def test_programs_get_everything_as_json(found: Inspection) -> None:
    told = json.loads(json.dumps(report(found)))
    assert told["condition"] == "enforcing"
    assert told["wireguard"] == "kernel"
    assert told["hooks"]["egress"] == [{"kind": "tcx", "first": True, "ahead": []}]
    assert told["policy"] == {
        "revision": 7,
        "in_force": True,
        "named": True,
        "committed_s": 1000.0,
        "document": "/etc/krait/wg0.yaml",
        "sha256": "ab",
        "guard": False,
    }
    assert told["agent"]["pid"] == 4711
    assert told["agent"]["faults"][0]["message"] == "wg0.yaml:3:5: unknown tag"
    assert told["withheld"] == ["10.8.0.7/32"]
    assert [each["name"] for each in told["peers"]] == ["web1", "db1", None]
    assert told["peers"][0]["dropped"] == {"packets": 20, "bytes": 0, "age_s": 10}
    assert told["rules"]["no-ssh"] == {"packets": 3, "bytes": 0, "age_s": 10}
    assert told["rules"]["default"]["age_s"] is None, "it never decided"
    assert told["drops"] == {
        "denied": {"packets": 1204, "bytes": 99_000, "age_s": 3},
        "no-flow": {"packets": 1, "bytes": 60, "age_s": 0.99},
    }


def test_a_bare_hook_is_no_enforcement_and_another_ahead_is_some(found: Inspection) -> None:
    behind = {
        hook: tuple(replace(seat, ahead=("bpf other",)) for seat in seats)
        for hook, seats in found.seats.items()
    }
    assert enforces(found)
    assert enforces(replace(found, seats=behind))
    for hook in Hook:
        bare = replace(found, seats={**found.seats, hook: ()})
        assert not enforces(bare)
        assert json.loads(json.dumps(report(bare)))["enforced"] is False


def test_an_interface_that_is_not_there_is_enforced_while_an_agent_waits(
    found: Inspection,
) -> None:
    gone = replace(found, link=None, seats=dict.fromkeys(Hook, ()))
    assert enforces(replace(gone, pid=4711))
    assert not enforces(replace(gone, pid=None))


def test_what_the_shadow_would_have_done_is_told(
    found: Inspection, capsys: pytest.CaptureFixture[str]
) -> None:
    assert found.tables
    numbers = replace(RECORD.numbers, shadow_rules=("trial", "idle"))
    counts = [Count(0, 0)] * 3 + [Count(7, 0), Count(1200, 0), Count(1, 0)] + [Count(0, 0)] * 3
    tried = replace(
        found,
        record=replace(RECORD, numbers=numbers),
        tables=replace(found.tables, shadow_rules=tuple(counts)),
    )
    text = " ".join(shown(tried, capsys).split())
    assert (
        "rehearsed trial would drop 1,200 packets that passed, would let pass 1 packet that "
        "dropped, agrees on 7 packets dropped"
    ) in text
    told = json.loads(json.dumps(report(tried)))["shadow"]
    assert told["document"] is None
    assert told["rules"]["trial"]["cuts"] == {"packets": 1200, "bytes": 0, "age_s": 10}
    record = replace(RECORD, numbers=numbers, shadow="/root/tried.yaml")
    assert "rehearsed, of /root/tried.yaml" in shown(replace(tried, record=record), capsys)


def test_what_became_of_telling_senders_is_told(
    found: Inspection, capsys: pytest.CaptureFixture[str]
) -> None:
    assert found.tables
    counts = {RejectionOutcome.SENT: Count(3, 180), RejectionOutcome.LIMITED: Count(1200, 0)}
    every = {each: counts.get(each, Count(0, 0)) for each in RejectionOutcome}
    told = replace(found, tables=replace(found.tables, rejections=every))
    text = " ".join(shown(told, capsys).split())
    assert "rejections sent 3 packets, 10 s ago: whose senders were told limited 1,200" in text
    assert "silent" not in text
    sent = json.loads(json.dumps(report(told)))["rejections"]["sent"]
    assert sent == {"packets": 3, "bytes": 180, "age_s": 10}


GUARD = Guarded(
    {"eth0": (), "eth1": ("program 9",)},
    ("docker0",),
    {GuardReason.SOURCE: Count(2, 80), GuardReason.DESTINATION: Count(40, 4000)},
)


def test_the_guard_is_told_with_where_it_is_and_what_it_dropped(
    found: Inspection, capsys: pytest.CaptureFixture[str]
) -> None:
    told = shown(replace(found, guard=GUARD), capsys)
    lines = [" ".join(line.split()) for line in told.splitlines()]
    assert lines[0] == "wg0: degraded"
    assert "no guard on docker0" in lines
    assert "guard on eth0, eth1 (not first)" in lines
    at = lines.index("dropped by the guard")
    assert lines[at + 1].startswith("destination 40 packets: To this node's own")
    assert max(map(len, told.splitlines())) <= output.WIDTH
    assert "eth0" not in shown(found, capsys)


def test_programs_get_the_guard_with_its_counts(found: Inspection) -> None:
    told = report(replace(found, guard=GUARD))
    assert isinstance(told, dict)
    assert told["guard"] == {
        "on": {"eth0": [], "eth1": ["program 9"]},
        "missing": ["docker0"],
        "drops": {
            "source": {"packets": 2, "bytes": 80},
            "destination": {"packets": 40, "bytes": 4000},
        },
    }
