# SPDX-License-Identifier: Apache-2.0
"""The table of rules, in 80 columns and for programs."""

import json
import sys
from dataclasses import replace

import pytest

from krait.agent.tally import Counted, Tally
from krait.cli import output
from krait.cli.rule_table import Row, draw, report, show
from krait.common.abi import Rehearsal
from krait.kernel.generation import Count, Moment
from krait.policy.idle import Idle, Why
from tests.unit.policy.bench import document

Capture = pytest.CaptureFixture[str]
POLICY = document()
WEB_DB, GRE, APP_IN, APP_OUT, TELNET, PEERS, TRIAL = POLICY.policy.rules
TRIED = {
    Rehearsal.SAME: Count(0, 0),
    Rehearsal.CUTS: Count(1200, 9, 900),
    Rehearsal.OPENS: Count(0, 0),
}
FOUND = Tally(
    "wg0",
    POLICY,
    7,
    (
        Counted(WEB_DB, Count(1_234_567, 3_650_722_201, 700), None),
        Counted(GRE, Count(0, 0), Idle(GRE, Why.NOBODY, ())),
        Counted(APP_IN, Count(12, 720, 1000), Idle(APP_IN, Why.REPEATED, (WEB_DB, GRE))),
        Counted(TELNET, Count(0, 0), None),
        Counted(PEERS, None, Idle(PEERS, Why.SHADOWED, POLICY.policy.rules[:5])),
        Counted(TRIAL, None, None),
        Counted(replace(TRIAL, name="tried"), None, None, TRIED),
        Counted(replace(TRIAL, name="idle"), None, None, dict.fromkeys(Rehearsal, Count(0, 0))),
    ),
    Count(3, 180, 1),
    Moment(1000, 100),
)


def shown(found: Tally, capsys: Capture, *, unused: bool = False) -> str:
    show(found, unused=unused)
    return capsys.readouterr().out


def test_the_table_tells_all_that_is_known_of_each_rule(capsys: Capture) -> None:
    assert (
        shown(FOUND, capsys)
        == f"""\
wg0: revision 7, {POLICY.source}
rule        action      packets    bytes  last hit
web-db      allow         1.2 M  3.4 GiB  3 s ago
web-db-gre  allow             0      0 B  never
    never decides: no two on different nodes are its two sides
app-in      allow            12    720 B  just now
    never decides: repeats "web-db" in line 17 and "web-db-gre" in line 18
no-telnet   deny              0      0 B  never
peers       allow             -        -  not here
    never decides: covered by "web-db" in line 17, "web-db-gre" in line 18,
    "app-in" in line 19 and 2 more
trial       audit deny        -        -  not rehearsed
tried       audit deny        -        -  rehearsed
    would drop 1,200 packets that passed
idle        audit deny        -        -  rehearsed
default     deny              3    180 B  9 s ago
"""
    )


def test_of_the_unused_neither_the_default_nor_what_enforces_elsewhere_is_told(
    capsys: Capture,
) -> None:
    lines = shown(FOUND, capsys, unused=True).splitlines()
    names = [each.split()[0] for each in lines[2:] if not each.startswith(" ")]
    assert names == ["web-db-gre", "app-in", "no-telnet", "peers"]
    told = json.loads(json.dumps(report(FOUND, unused=True)))
    assert [each["name"] for each in told["rules"]] == names
    assert told["unused"] == 4


def test_long_names_and_figures_stay_within_the_width(capsys: Capture) -> None:
    long = replace(WEB_DB, name="n" * 200, audit=True)
    rules = (Counted(long, Count(1 << 60, 1 << 60, 0), Idle(long, Why.REPEATED, (WEB_DB,) * 9)),)
    text = shown(replace(FOUND, rules=rules, now=Moment(10**9, 1)), capsys)
    assert max(map(len, text.splitlines())) <= output.WIDTH


def test_a_terminal_shows_the_action_in_colour_and_what_never_decided_faintly(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    hit = Row(("deny-a", "deny", "1", "60 B", "just now"))
    never = Row(("b", "allow", "0", "0 B", "never"), "why", faint=True)
    head, first, second, remark = draw([hit, never])
    assert head.startswith("\x1b[2mrule")
    assert first == "deny-a  \x1b[31mdeny\x1b[0m          1   60 B  just now"
    assert second == "\x1b[2mb       allow         0    0 B  never\x1b[0m"
    assert remark == "\x1b[33m    why\x1b[0m"
    lines = shown(FOUND, capsys).splitlines()
    faint = [each.split()[0] for each in lines[2:] if each.startswith("\x1b[2m")]
    assert faint == [
        f"\x1b[2m{name}" for name in ("web-db-gre", "no-telnet", "peers", "trial", "idle")
    ]


def test_programs_get_raw_figures() -> None:
    told = json.loads(json.dumps(report(FOUND)))
    first, _, third, _, peers, trial, tried, _ = told["rules"]
    assert first == {
        "name": "web-db",
        "line": WEB_DB.mark.line,
        "action": "allow",
        "audit": False,
        "ended": False,
        "until": None,
        "here": True,
        "packets": 1_234_567,
        "bytes": 3_650_722_201,
        "age_s": 3,
        "unused": False,
        "idle": None,
        "covering": [],
        "rehearsed": None,
    }
    assert tried["rehearsed"]["cuts"] == {"packets": 1200, "bytes": 9, "age_s": 1}
    assert tried["rehearsed"]["same"] == {"packets": 0, "bytes": 0, "age_s": None}
    assert (third["idle"], third["covering"]) == ("repeated", ["web-db", "web-db-gre"])
    assert (peers["here"], peers["packets"], peers["age_s"]) == (False, None, None)
    assert (trial["audit"], trial["unused"]) == (True, False)
    assert told["default"] == {"action": "deny", "packets": 3, "bytes": 180, "age_s": 9.99}


def test_the_end_of_a_rule_is_told_beside_why_it_never_decides(capsys: Capture) -> None:
    ending = replace(APP_IN, until=1_798_740_000)
    idle = Counted(ending, Count(12, 720, 1000), Idle(ending, Why.NOBODY, ()))
    text = " ".join(shown(replace(FOUND, rules=(idle,)), capsys).split())
    assert "until 2026-12-31T18:00:00Z; never decides: no two" in text
    told = json.loads(json.dumps(report(replace(FOUND, rules=(idle,)))))
    assert told["rules"][0]["until"] == "2026-12-31T18:00:00Z"
