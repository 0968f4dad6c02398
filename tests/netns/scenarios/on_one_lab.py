# SPDX-License-Identifier: Apache-2.0
"""Scenarios of this folder over one lab after another, for where a lab takes long to make: in the
guests of tests/vm. By hand: `./just vm 6.1 pytest tests/netns/scenarios/on_one_lab.py`.

The tests are those of their own files; only what they stand on is made here.
"""

from collections.abc import Iterator

import pytest

from krait.kernel.seat import AttachKind
from krait.lab.mesh import Lab
from tests.netns.scenarios import test_hostile_packets, test_hping, test_scans
from tests.netns.scenarios.conftest import Mesh
from tests.netns.scenarios.test_commits import test_no_packet_is_judged_by_a_mixture
from tests.netns.scenarios.test_full_tables import (
    test_a_policy_that_no_table_holds_changes_nothing_and_status_says_why,
    test_ports_that_do_not_fit_beside_those_in_force_get_larger_tables_and_open_nothing,
    test_unanswered_flows_of_a_full_table_push_out_each_other_and_open_nothing,
)
from tests.netns.scenarios.test_hostile_packets import (
    Victim,
    test_a_source_route_of_ipv4_is_refused_by_the_kernel_behind,
    test_another_peers_address_is_stopped_by_wireguard,
    test_nothing_is_written_over_what_was_judged,
    test_what_is_to_drop_for_one_reason_does_so_back_to_back,
)
from tests.netns.scenarios.test_hping import (
    Range,
    test_what_hping3_makes_all_at_once_comes_out_or_drops,
)
from tests.netns.scenarios.test_rejections import (
    test_a_connection_is_refused_at_once_and_a_datagram_prohibited,
    test_a_connection_that_is_revoked_ends_with_a_reset,
    test_a_peer_is_told_only_if_the_policy_says_so,
)
from tests.netns.scenarios.test_revocation import test_nothing_that_is_sent_after_the_commit_passes
from tests.netns.scenarios.test_scans import test_scans_find_what_the_policy_lets_be_found
from tests.netns.scenarios.test_two_ends import (
    test_either_end_cuts_live_flows_and_keeps_the_others,
    test_of_two_revisions_only_what_both_allow_opens,
)
from tests.netns.scenarios.test_until import test_flows_of_a_rule_are_cut_at_its_end
from tests.netns.scenarios.test_upgrade import (
    older,
    test_live_flows_go_on_while_another_build_is_swapped_in,
)
from tests.requirements import KINDS

__all__ = [
    "older",
    "test_a_connection_is_refused_at_once_and_a_datagram_prohibited",
    "test_a_connection_that_is_revoked_ends_with_a_reset",
    "test_a_peer_is_told_only_if_the_policy_says_so",
    "test_a_policy_that_no_table_holds_changes_nothing_and_status_says_why",
    "test_a_source_route_of_ipv4_is_refused_by_the_kernel_behind",
    "test_another_peers_address_is_stopped_by_wireguard",
    "test_either_end_cuts_live_flows_and_keeps_the_others",
    "test_flows_of_a_rule_are_cut_at_its_end",
    "test_live_flows_go_on_while_another_build_is_swapped_in",
    "test_no_packet_is_judged_by_a_mixture",
    "test_nothing_is_written_over_what_was_judged",
    "test_nothing_that_is_sent_after_the_commit_passes",
    "test_of_two_revisions_only_what_both_allow_opens",
    "test_ports_that_do_not_fit_beside_those_in_force_get_larger_tables_and_open_nothing",
    "test_scans_find_what_the_policy_lets_be_found",
    "test_unanswered_flows_of_a_full_table_push_out_each_other_and_open_nothing",
    "test_what_hping3_makes_all_at_once_comes_out_or_drops",
    "test_what_is_to_drop_for_one_reason_does_so_back_to_back",
]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(test_hostile_packets.peers()) as lab:
        test_hostile_packets.hush(lab)
        for name in lab.nodes:
            # Else TCP gives up what its own machine drops after 15 tries, two a second: a slow
            # machine may need longer than that to see that nothing passes.
            lab[name].succeed("echo 255 >/proc/sys/net/ipv4/tcp_retries2")
        yield lab


@pytest.fixture(scope="module")
def one_mesh(lab: Lab) -> Mesh:
    return Mesh(lab, KINDS[0])


@pytest.fixture
def mesh(one_mesh: Mesh, kind: AttachKind) -> Mesh:
    assert kind is KINDS[0]
    return quiet(one_mesh)


def quiet(mesh: Mesh) -> Mesh:
    """Whoever served a test before is gone; the agent, which is called krait, goes on."""
    for name in mesh.lab.nodes:
        mesh[name].execute(["pkill", "--signal", "KILL", "--exact", "python"])
    return mesh


@pytest.fixture
def pair(mesh: Mesh) -> Mesh:
    """As everywhere, but Carol is there as well, and does nothing."""
    for name in ("alice", "bob"):
        mesh.serve(name, 80, 81)
    return mesh


# These three are for tests in a row: what serves or watches is gone once `mesh` is asked for again.


@pytest.fixture(scope="module")
def scanned(one_mesh: Mesh) -> Mesh:
    return test_scans.on_guard(quiet(one_mesh))


@pytest.fixture(scope="module")
def victim(one_mesh: Mesh) -> Victim:
    return test_hostile_packets.on_guard(quiet(one_mesh))


@pytest.fixture(scope="module")
def shot_at(one_mesh: Mesh) -> Range:
    return test_hping.on_guard(quiet(one_mesh))
