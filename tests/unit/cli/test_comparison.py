# SPDX-License-Identifier: Apache-2.0
"""How flows that would be cut are told, in 80 columns and for programs."""

import json
from ipaddress import ip_address

import pytest

from krait.agent.foresight import Cut, Cuts, Foresight
from krait.cli.comparison import changes, show
from krait.cli.comparison_report import report
from krait.common.abi import FlowState
from krait.common.reason import Reason
from krait.kernel.flows import LiveFlow
from krait.policy.compare import compare
from krait.policy.flow import FlowTuple
from krait.policy.model import ICMP4, TCP, UDP
from krait.policy.survival import Fate
from krait.policy.view import HERE, Principal
from tests.unit.policy.bench import document

Capture = pytest.CaptureFixture[str]
WEB, DB = frozenset({"web", "prod"}), frozenset({"db"})
LONG = "fd7a:6b72:ffff:ffff:ffff:ffff:ffff:"


def cut(protocol: int, source: str, destination: str, *, port: int = 80, age_s: float = 3) -> Cut:
    opener = FlowTuple(protocol, (ip_address(source), 40000), (ip_address(destination), port))
    state = FlowState.TCP_ESTABLISHED if protocol == TCP else FlowState.UDP_REPLIED
    flow = LiveFlow(opener, state, 0, age_s, allowed=True, rule=1, revision=1)
    ends = Principal("web1", WEB, 1), Principal("db1", DB, HERE)
    before, now = (Fate(each, None, *ends) for each in (Reason.PASS, Reason.DENIED))
    return Cut(flow, before, now, reopens=protocol == UDP)


CUT = (
    cut(TCP, "10.8.0.2", "10.8.0.1", age_s=0.2),
    cut(UDP, f"{LONG}2", f"{LONG}1", port=53),
    cut(ICMP4, "10.8.0.2", "10.8.0.1", port=40000),
)
SEEN = Foresight(document(), Cuts(4711, {(WEB, DB): 4700, (DB, frozenset()): 11}, CUT, 12))


def test_cut_flows_are_counted_by_pair_and_the_longest_are_told(capsys: Capture) -> None:
    found = compare(document(), document())
    assert changes(found, SEEN.cuts)
    show(found, SEEN)
    assert capsys.readouterr().out == (
        "flows cut: 4,711\n"
        "    4,700  prod+web to db\n"
        "    11     db to no tags\n"
        "    12 of them until the other side sends: it may open them anew\n"
        "  tcp 10.8.0.2:40000 to 10.8.0.1:80 (web1 to db1), tcp-established, just now\n"
        f"  udp [{LONG}2]:40000 to\n"
        f"  [{LONG}1]:53 (web1 to db1), udp-replied, 3 s ago,\n"
        "  until the other side sends\n"
        "  icmp4 10.8.0.2 to 10.8.0.1 (web1 to db1), udp-replied, 3 s ago\n"
        "summary: 0 pairs open, 0 pairs close, 4,711 flows cut\n"
    )


def test_flows_that_nobody_could_look_at_are_no_zero(capsys: Capture) -> None:
    found = compare(document(), document(("tags: [db]", "tags: [db, more]")))
    show(found, Foresight(document(), unseen="wg0 is not a WireGuard interface"))
    text = capsys.readouterr().out
    assert "flows: not looked at: wg0 is not a WireGuard interface\n" in text
    assert "cut" not in text


def test_what_is_not_remembered_is_said_to_be_uncounted(capsys: Capture) -> None:
    now = document(("    - {name: app-in, from: app, to: db}\n", ""))
    show(compare(document(), now), Foresight(document(), Cuts(0, {}, ())))
    text = capsys.readouterr().out
    assert "pairs that may do everything is not remembered" in text
    assert text.endswith(", 0 flows cut\n")


def test_json_has_each_flow_by_its_opener() -> None:
    told = json.loads(json.dumps(report(compare(document(), document()), SEEN)))
    assert told["flows"]["cut"] == 4711
    assert told["flows"]["pairs"][0] == {"from": ["prod", "web"], "to": ["db"], "cut": 4700}
    assert told["flows"]["longest"][0] == {
        "protocol": TCP,
        "source": "10.8.0.2",
        "source_port": 40000,
        "destination": "10.8.0.1",
        "destination_port": 80,
        "state": "tcp-established",
        "age_s": 0.2,
        "reason": "denied",
        "reopens": False,
    }
    assert told["flows"]["reopening"] == 12
    assert told["flows"]["longest"][1]["reopens"]
