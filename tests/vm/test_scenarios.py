# SPDX-License-Identifier: Apache-2.0
"""Scenarios of the netns tier on older kernels, over their WireGuard: what they prove of a packet's
way over an interface with wireguard-go and this machine's kernel, they prove there, too.

Both guests are at work at the same time, each on one lab of its own (tests/netns/scenarios/
on_one_lab.py); each test here asks for one proof of one guest.
"""

import re
from collections.abc import Mapping

import pytest

from krait.lab.machine import Process
from krait.lab.virtual.machine import VirtualMachine
from tests.vm.conftest import JOB_S, KIND, Figures, both_kernels, inside

pytestmark = pytest.mark.long

FILE = "tests/netns/scenarios/on_one_lab.py"
PROOFS = {
    "live flows outlast an upgrade": (
        "test_live_flows_go_on_while_another_build_is_swapped_in[KIND]",
    ),
    "nothing passes after a revocation": (
        "test_nothing_that_is_sent_after_the_commit_passes[bob-KIND]",
    ),
    "nmap finds what the policy says": ("test_scans_find_what_the_policy_lets_be_found[opens]",),
    "hostile packets drop for their reasons": (
        "test_what_is_to_drop_for_one_reason_does_so_back_to_back",
        "test_another_peers_address_is_stopped_by_wireguard",
        "test_a_source_route_of_ipv4_is_refused_by_the_kernel_behind",
        "test_nothing_is_written_over_what_was_judged",
    ),
    "what hping3 makes comes out or drops for its reason": (
        "test_what_hping3_makes_all_at_once_comes_out_or_drops[alice]",
    ),
    "flows that nobody answers push out each other": (
        "test_unanswered_flows_of_a_full_table_push_out_each_other_and_open_nothing[KIND]",
    ),
    "a rule ends without an agent": ("test_flows_of_a_rule_are_cut_at_its_end[dead]",),
    "no packet is judged by a mixture": ("test_no_packet_is_judged_by_a_mixture[KIND]",),
    "what is full is not open": (
        "test_a_policy_that_no_table_holds_changes_nothing_and_status_says_why",
        "test_ports_that_do_not_fit_beside_those_in_force_get_larger_tables_and_open_nothing",
    ),
    "who sends is told of a rejection": (
        "test_a_peer_is_told_only_if_the_policy_says_so",
        "test_a_connection_is_refused_at_once_and_a_datagram_prohibited[KIND]",
        "test_a_connection_that_is_revoked_ends_with_a_reset[KIND]",
    ),
    "of two revisions only what both allow passes": (
        "test_of_two_revisions_only_what_both_allow_opens[alice-bob]",
        "test_either_end_cuts_live_flows_and_keeps_the_others[without the rule-alice-bob]",
    ),
}
"""Each with its tests, in an order in which an agent dies as seldom as may be."""

_RUN_S = 2 * JOB_S  # all of them together
# A lab takes wireguard-go where it must; without a tun device there is no such thing.
_RUN = "rm -f /dev/net/tun; exec pytest -v -p no:cacheprovider --durations=0"
_OUTCOME = re.compile(rf"^{re.escape(FILE)}::(\S.*) ([A-Z]+) +\[", re.MULTILINE)


@pytest.fixture(scope="module")
def runs(guests: Mapping[str, VirtualMachine]) -> Mapping[str, Process]:
    """The run of pytest in each guest."""
    return {series: begun(machine, KIND[series].value) for series, machine in guests.items()}


def begun(machine: VirtualMachine, kind: str) -> Process:
    tests = [f'"{FILE}::{each}"' for proof in PROOFS.values() for each in proof]
    arguments = " ".join(tests).replace("KIND", kind)
    return inside(machine, f"sh -c '{_RUN} {arguments}'")


@both_kernels
@pytest.mark.parametrize("proof", PROOFS)
def test_a_scenario_holds_on_an_older_kernel_and_its_wireguard(
    runs: Mapping[str, Process], series: str, proof: str
) -> None:
    runs[series].wait(_RUN_S)
    stdout = runs[series].stdout
    for test in PROOFS[proof]:
        begins = test.replace("KIND", KIND[series].value)
        ended = {word for name, word in _OUTCOME.findall(stdout) if name.startswith(begins)}
        assert ended == {"PASSED"}, f"{stdout}\n--- stderr\n{runs[series].stderr}"


@both_kernels
def test_every_scenario_passed(runs: Mapping[str, Process], series: str, figures: Figures) -> None:
    assert runs[series].wait(_RUN_S) == 0
    figures(f"Linux {series}: scenarios: {runs[series].stdout.splitlines()[-1].strip('= ')}")
