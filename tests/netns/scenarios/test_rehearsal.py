# SPDX-License-Identifier: Apache-2.0
"""Policies on trial, beside the one in force: counted by real traffic, and changing none of it."""

from tests.netns.agent.conftest import BOTH_KINDS
from tests.netns.scenarios.conftest import Mesh
from tests.patience import wait_until

ENDS = {"alice": "tags: a", "bob": "tags: b"}
OPEN = "name: open, from: a, to: b, ports: [icmp, tcp/80, udp/80]"
NO_TCP = "name: no-tcp, from: a, to: b, ports: tcp, action: deny, audit: true"
MORE = "name: more, from: a, to: b, ports: udp/81, audit: true"
TRIED = "/run/wg/tried.yaml"


@BOTH_KINDS
def test_audit_rules_count_what_they_would_have_done_and_do_nothing(pair: Mesh) -> None:
    pair.enforce(pair.document(ENDS, [OPEN, NO_TCP, MORE]), "bob")
    bob = pair.warden("bob")
    assert bob.rehearsed() == {"no-tcp": {}, "more": {}}
    pair.succeed("alice", "bob", "tcp/80", "udp/80", "icmp")
    pair.fail("alice", "bob", "udp/81", drops={"bob": "denied"})
    told = bob.rehearsed()
    assert told["no-tcp"].keys() == {"cuts"}
    assert told["no-tcp"]["cuts"] >= 2 * 3, "the handshake and more, for each family"
    assert told["more"] == {"opens": bob.drops()["denied"]}
    shown = bob.machine.succeed("krait status wg0")
    assert f"would drop {told['no-tcp']['cuts']} packets that passed" in shown


def test_a_document_beside_the_one_in_force_is_rehearsed_and_comes_and_goes(pair: Mesh) -> None:
    bob = pair.warden("bob")
    bob.options = ["--shadow", TRIED]
    without_tcp = OPEN.replace("tcp/80, ", "").replace("open", "tried")
    bob.machine.write(
        TRIED,
        pair.document(
            {"alice": "tags: c", "bob": "tags: b"}, [without_tcp.replace("from: a", "from: c")]
        ),
    )
    pair.enforce(pair.document(ENDS, [OPEN]), "bob")
    # It is read once the document is in force.
    wait_until(lambda: bob.status()["shadow"]["document"] == TRIED, bob.status)
    pair.succeed("alice", "bob", "tcp/80", "udp/80")
    told = bob.rehearsed()
    assert told["default"].keys() == {"cuts"}, "no rule of the shadow lets TCP pass"
    assert told["tried"].keys() == {"same"}
    assert not bob.drops()
    assert bob.status()["shadow"]["document"] == TRIED

    revision = bob.status()["policy"]["revision"]
    bob.machine.succeed(f"rm {TRIED}")
    wait_until(lambda: bob.status()["policy"]["revision"] > revision, bob.status)
    assert bob.status()["shadow"] == {"document": None, "rules": {}}
    pair.succeed("alice", "bob", "tcp/80", "udp/80")
    assert not bob.drops()
