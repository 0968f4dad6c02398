# SPDX-License-Identifier: Apache-2.0
"""Rounds of an agent on ports that are played in memory: what it reads, notes, and tries again."""

from base64 import b64encode
from dataclasses import replace
from ipaddress import ip_interface

import pytest
from structlog.testing import capture_logs

from krait.agent.rounds import Rounds
from krait.agent.source import LOOK_S
from krait.common.errors import UsageError
from krait.kernel.hook import Hook
from krait.kernel.seat import AttachKind, Seat
from krait.kernel.wireguard import NO_KEY
from tests.unit.agent.clock import Clock
from tests.unit.agent.edits import A_RULE, BROKEN, STRANGER, WHOLE
from tests.unit.agent.ports import LINK, PEERS, Refused, Stage


def test_an_agent_that_starts_while_wireguard_is_mute_reads_its_document_and_goes_on_when_it_speaks(
    stage: Stage,
    agent: Rounds,  # noqa: ARG001 - the earlier one
) -> None:
    stage.kernel.refuses = {"wireguard"}
    stage.edit(*A_RULE)
    later = stage.rounds()
    later.start()
    assert stage.faults == ["wireguard: refused"]
    stage.kernel.refuses = set()
    later.play()
    assert (stage.revision, stage.faults) == (2, [])


def test_after_a_reboot_a_bad_document_gives_way_to_the_one_that_was_in_force(
    stage: Stage,
    agent: Rounds,  # noqa: ARG001 - before the reboot
) -> None:
    stage.reboot()
    stage.edit(WHOLE, BROKEN)
    later = stage.rounds()
    later.start()
    assert stage.live.enforcing
    assert len(stage.faults) == 1
    assert "nobody" in stage.faults[0]
    stage.edit(BROKEN, WHOLE)
    later.read_again()
    later.play()
    assert (stage.live.enforcing, stage.faults) == (True, [])


def test_a_document_is_kept_once_it_is_in_force_and_not_before(stage: Stage, agent: Rounds) -> None:
    first = stage.document.read_bytes()
    assert stage.kept.read_bytes() == first
    assert stage.kept.stat().st_mode & 0o777 == 0o600
    stage.edit(WHOLE, BROKEN)
    agent.read_again()
    agent.play()
    assert stage.kept.read_bytes() == first


def test_a_document_that_is_deleted_is_told_and_leaves_its_policy_in_force(
    stage: Stage, agent: Rounds, clock: Clock
) -> None:
    stage.document.unlink()
    agent.play()
    assert stage.faults == []  # it may be on its way
    clock.now_s += LOOK_S
    agent.play()
    (fault,) = stage.live.faults
    assert f"cannot read {stage.document}" in fault.message
    assert f"restore it; until then the policy in force stays (a copy of it: {stage.kept})" == (
        fault.hint
    )
    assert (stage.live.enforcing, stage.revision) == (True, 1)
    stage.document.write_bytes(stage.kept.read_bytes())
    agent.play()
    clock.now_s += LOOK_S
    agent.play()
    assert (stage.faults, stage.revision) == ([], 1)


def test_a_folder_that_is_switched_by_its_link_is_noticed_without_an_event(
    stage: Stage, clock: Clock
) -> None:
    folder = stage.document.parent
    for name in ("one", "two"):
        (folder / name).mkdir()
        (folder / name / "k.yaml").write_bytes(stage.document.read_bytes())
    (folder / "cur").symlink_to("one")
    stage.document = folder / "cur" / "k.yaml"
    agent = stage.rounds()
    agent.start()
    (folder / "new").symlink_to("two")
    (folder / "new").rename(folder / "cur")
    stage.edit(*A_RULE)
    agent.play()
    assert stage.revision == 1
    clock.now_s += LOOK_S
    agent.play()
    assert (stage.revision, stage.faults) == (2, [])


def test_a_document_that_is_written_in_place_is_not_taken_before_its_writer_closes_it(
    stage: Stage, agent: Rounds, clock: Clock
) -> None:
    whole = stage.document.read_text().replace(*A_RULE)
    for part in range(1, 5):
        stage.document.write_text(whole[: len(whole) * part // 4])
        for _ in range(3):
            agent.play()
            clock.now_s += LOOK_S
        assert (stage.revision, stage.faults) == (1, [])
    agent.read_again()  # as the watcher has it do at the close
    agent.play()
    assert (stage.revision, stage.faults) == (2, [])


def test_another_file_in_the_documents_place_is_taken_once_it_kept_still(
    stage: Stage, agent: Rounds, clock: Clock
) -> None:
    whole = stage.document.read_text().replace(*A_RULE)
    grown = stage.document.with_name("grown")
    grown.write_text(whole[:40])
    grown.rename(stage.document)
    agent.play()
    clock.now_s += LOOK_S - 0.1
    stage.document.write_text(whole)
    agent.play()
    clock.now_s += LOOK_S - 0.1
    agent.play()
    assert (stage.revision, stage.faults) == (1, [])
    clock.now_s += 0.2
    agent.play()
    assert (stage.revision, stage.faults) == (2, [])


def test_without_a_document_only_the_very_first_start_says_how_to_begin(stage: Stage) -> None:
    text = stage.document.read_text()
    stage.document.unlink()
    with pytest.raises(UsageError) as told:
        stage.rounds().start()
    assert "krait init" in told.value.hint
    stage.document.write_text(text)
    stage.rounds().start()
    stage.document.unlink()
    stage.rounds().start()  # the policy of the one before is in force
    stage.kept.unlink()
    stage.rounds().start()
    stage.reboot()
    stage.kept.write_text(text)
    stage.rounds().start()
    (fault,) = stage.live.faults
    assert "krait init" not in fault.hint
    assert fault.hint.startswith("restore it")


def test_with_nothing_kept_a_bad_document_ends_the_start(stage: Stage) -> None:
    stage.edit(WHOLE, BROKEN)
    with pytest.raises(UsageError):
        stage.rounds().start()


def test_with_nothing_in_force_the_same_ends_the_start(stage: Stage) -> None:
    stage.kernel.refuses = {"wireguard"}
    with pytest.raises(Refused, match="wireguard"):
        stage.rounds().start()


def test_a_bad_document_at_the_start_is_told_first_and_only_until_it_is_mended(
    stage: Stage,
    agent: Rounds,  # noqa: ARG001 - the earlier one
) -> None:
    stage.edit(WHOLE, BROKEN)
    later = stage.rounds()
    later.start()
    (fault,) = stage.faults
    assert "nobody" in fault
    later.play()
    assert stage.faults == [fault]
    stage.edit(BROKEN, WHOLE)
    later.read_again()
    later.play()
    assert stage.faults == []


def test_a_document_that_does_not_fit_the_interface_leaves_the_one_before_in_its_place(
    stage: Stage, agent: Rounds
) -> None:
    stage.edit("nodes:\n", "node: web1\nnodes:\n")
    agent.read_again()
    agent.play()
    (fault,) = stage.faults
    assert "public key is that of db1" in fault
    assert (stage.live.enforcing, stage.revision) == (True, 1)
    (gone,) = (each for each in (stage.kernel.link,) if each)
    stage.kernel.link = replace(gone, addresses=gone.addresses[:1])
    agent.play()  # who is who changed meanwhile: the one before is worked out for that
    assert stage.revision == 2


def test_a_document_that_fits_nothing_at_the_start_is_an_error_of_usage(stage: Stage) -> None:
    stage.edit("nodes:\n", "node: web1\nnodes:\n")
    with pytest.raises(UsageError, match="public key is that of db1"):
        stage.rounds().start()
    assert stage.kernel.loaded == {}


def test_who_goes_ahead_again_and_again_is_overtaken_ever_more_seldom_and_named(
    stage: Stage, agent: Rounds, clock: Clock
) -> None:
    def first_again() -> bool:
        """The other tool is first; is Krait after a round?"""
        (seat,) = stage.kernel.seats[Hook.INGRESS]
        ahead = Seat(AttachKind.TCX, seat.program_id, ("program 99",))
        stage.kernel.seats[Hook.INGRESS] = (ahead,)
        agent.play()
        return stage.kernel.seats[Hook.INGRESS] != (ahead,)

    overtaken = []
    for second in range(16):
        if first_again():
            overtaken.append(second)
        else:
            assert stage.faults == ["degraded: ahead of Krait: program 99 on ingress"]
        clock.now_s += 1.0
    assert overtaken == [0, 1, 3, 7, 15]
    agent.play()
    assert stage.faults == []


def test_a_device_that_left_with_the_filter_is_told_and_shut_and_the_next_gets_tables_of_its_own(
    stage: Stage, agent: Rounds
) -> None:
    (old,) = stage.kernel.loaded.values()
    link, stage.kernel.link = stage.kernel.link, None
    stage.kernel.elsewhere = frozenset(old.generation.programs.values())
    agent.play()
    assert not old.is_armed()
    (fault,) = stage.faults
    assert "renamed or moved away" in fault
    assert link
    stage.kernel.link = replace(link, ifindex=8)
    stage.kernel.seats = dict.fromkeys(Hook, ())
    agent.play()
    assert not old.is_armed()
    (new,) = stage.kernel.loaded.values()
    assert new is not old
    assert {seat.program_id for (seat,) in stage.kernel.seats.values()} == set(
        new.generation.programs.values()
    )
    assert (new.is_armed(), stage.faults) == (True, [fault])


def test_an_interface_that_appears_is_shut_before_anything_else_is_asked(stage: Stage) -> None:
    link, stage.kernel.link = stage.kernel.link, None
    agent = stage.rounds()
    agent.start()
    stage.kernel.link = link
    stage.kernel.refuses = {"elsewhere", "wireguard"}
    agent.play()
    assert all(stage.kernel.seats.values())
    assert (stage.revision, stage.live.enforcing) == (0, False)
    stage.kernel.refuses = set()
    agent.play()
    assert (stage.revision, stage.live.enforcing, stage.faults) == (1, True, [])


def test_pairs_whose_replies_need_a_flow_from_now_on_are_told(stage: Stage, agent: Rounds) -> None:
    assert [*stage.live.warnings] == [STRANGER]
    stage.edit("    - {name: app-out, from: db, to: app}\n", "")
    agent.read_again()
    agent.play()
    _, warning = stage.live.warnings
    assert "flows are remembered from now on between app and db" in warning
    stage.edit("name: web-db,", "name: into-db,")
    agent.read_again()
    agent.play()
    assert stage.live.warnings == (STRANGER,)


def test_a_peer_that_the_document_does_not_name_is_logged_once_until_it_is_new_again(
    stage: Stage,
) -> None:
    named = f'  other: {{public_key: "{b64encode(bytes((9,)) * 32).decode()}"}}\n'
    agent = stage.rounds()
    with capture_logs() as log:
        agent.start()
        stage.edit(*A_RULE)
        agent.read_again()
        agent.play()
        assert stage.revision == 2
        assert [each["event"] for each in log].count(STRANGER) == 1
        stage.edit("policy:\n", f"{named}policy:\n")
        agent.read_again()
        agent.play()
        assert not stage.live.warnings
        stage.edit(named, "")
        agent.read_again()
        agent.play()
    assert [each["event"] for each in log].count(STRANGER) == 2
    assert stage.live.warnings == (STRANGER,)


def test_an_agent_that_starts_before_the_interface_has_a_key_shuts_it_and_waits(
    stage: Stage,
) -> None:
    key, stage.kernel.public_key = stage.kernel.public_key, NO_KEY
    agent = stage.rounds()
    agent.start()
    assert all(stage.kernel.seats.values())
    assert (stage.revision, stage.live.enforcing, stage.faults) == (0, False, [])
    stage.kernel.public_key = key
    agent.play()
    assert (stage.revision, stage.live.enforcing, stage.faults) == (1, True, [])


def test_a_peer_that_takes_over_a_number_has_counters_and_a_budget_of_its_own(
    stage: Stage, agent: Rounds
) -> None:
    (tables,) = stage.kernel.loaded.values()
    tables.forgotten.clear()
    newcomer = replace(PEERS[1], public_key=bytes((77,)) * 32)
    stage.kernel.peers = (PEERS[0], newcomer, *PEERS[2:])
    stage.kernel.link = replace(LINK, addresses=(*LINK.addresses, ip_interface("fe80::9/64")))
    agent.play()
    assert (tables.forgotten["peers"], tables.forgotten["budgets"]) == ((2,), (2,))
