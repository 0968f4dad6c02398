# SPDX-License-Identifier: Apache-2.0
"""How live flows are told, in 80 columns and for programs."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest

from krait.agent.live_flows import Flows, Seen
from krait.cli import output
from krait.cli.flow_list import LISTED, report, show
from krait.common.abi import FlowState
from krait.kernel.flows import LiveFlow
from krait.policy.flow import FlowTuple
from krait.policy.model import ICMP4, TCP, UDP

Capture = pytest.CaptureFixture[str]
LONG = "fd7a:6b72:ffff:ffff:ffff:ffff:ffff:"


def seen(protocol: int = TCP, source: str = "10.8.0.2", to: str = "10.8.0.1") -> Seen:
    opener = FlowTuple(protocol, (ip_address(source), 40000), (ip_address(to), 80))
    state = FlowState.TCP_ESTABLISHED if protocol == TCP else FlowState.UDP_REPLIED
    flow = LiveFlow(opener, state, 0, 2, allowed=True, rule=1, revision=7)
    return Seen(flow, "web1", "db1", is_stale=False, rule="web-to-db")


def aged(each: Seen, age_s: float, *, allowed: bool = True) -> Seen:
    return replace(each, flow=replace(each.flow, age_s=age_s, allowed=allowed))


def flows(*some: Seen) -> Flows:
    return Flows("wg0", 7, iter(some))


def test_a_flow_is_its_ends_and_what_let_it_pass(capsys: Capture) -> None:
    denied = replace(aged(seen(UDP, f"{LONG}2", f"{LONG}1"), 30, allowed=False), rule="default")
    stale = replace(aged(seen(ICMP4), 100, allowed=False), opener=None, is_stale=True, rule=None)
    assert show(flows(stale, denied, aged(seen(), 0.1))) == 3
    assert capsys.readouterr().out == (
        "tcp web1 (10.8.0.2:40000) to db1 (10.8.0.1:80)\n"
        '    by rule "web-to-db", tcp-established, just now, 1 h left\n'
        f"udp web1 ([{LONG}2]:40000) to db1\n"
        f"    ([{LONG}1]:80)\n"
        "    denied by the default, udp-replied, 30 s ago, 2 min left\n"
        "icmp4 10.8.0.2 to db1 (10.8.0.1)\n"
        "    to be judged anew, udp-replied, 1 min ago, 1 min left\n"
        "summary: 3 live flows, 1 denied, 1 to be judged anew\n"
    )


def test_of_many_those_that_spoke_last_are_told_and_the_others_counted(capsys: Capture) -> None:
    many = [aged(seen(), 1000 - number) for number in range(LISTED + 960)]
    assert show(flows(*many)) == LISTED + 960
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * LISTED + 2
    assert ", 1 s ago, " in lines[1]
    assert f", {LISTED} s ago, " in lines[2 * LISTED - 1]
    assert lines[-2:] == ["and 960 more; --json has them all", "summary: 1,000 live flows"]


def test_nobody_is_no_flow(capsys: Capture) -> None:
    assert show(flows()) == 0
    assert capsys.readouterr().out == "summary: 0 live flows\n"
    assert report(flows()) == 0
    assert json.loads(capsys.readouterr().out) == {"interface": "wg0", "revision": 7, "flows": []}


def test_a_terminal_shows_what_is_denied_in_red(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    show(flows(aged(seen(), 2, allowed=False)))
    assert '\x1b[31mdenied by rule "web-to-db"\x1b[0m, tcp' in capsys.readouterr().out


def test_control_characters_do_not_reach_the_terminal(capsys: Capture) -> None:
    bad = "\x1b]0;x\x07"
    show(flows(replace(seen(), opener=bad, other=bad, rule=bad)))
    text = capsys.readouterr().out
    assert text.count(r"\x1b]0;x\x07") == 3
    assert not {"\x1b", "\x07"} & set(text)
    assert max(map(len, text.splitlines())) <= output.WIDTH


def test_programs_get_one_document_with_a_flow_a_line_as_they_come(capsys: Capture) -> None:
    written: list[str] = []

    def some() -> Iterator[Seen]:
        yield seen()
        written.append(capsys.readouterr().out)
        yield aged(seen(), 1e9)

    assert report(Flows("wg0", 7, some())) == 2
    (first_part,) = written
    assert first_part.startswith('{"interface": "wg0", "revision": 7, "flows": [\n{"protocol": 6, ')
    text = first_part + capsys.readouterr().out
    assert len(text.splitlines()) == 4
    first, second = json.loads(text)["flows"]
    assert first == {
        "protocol": TCP,
        "from": "web1",
        "source": "10.8.0.2",
        "source_port": 40000,
        "to": "db1",
        "destination": "10.8.0.1",
        "destination_port": 80,
        "state": "tcp-established",
        "age_s": 2,
        "left_s": 7198,
        "allowed": True,
        "stale": False,
        "rule": "web-to-db",
        "revision": 7,
    }
    assert second["left_s"] == 0
