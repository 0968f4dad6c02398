# SPDX-License-Identifier: Apache-2.0
"""A slot holds what it was brought to, whatever was in it before."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from krait.common.reason import Reason
from krait.policy.compile import Compiled
from krait.policy.image import EMPTY, Image, draw
from tests.kernel.loaded import HERE, OTHER, PEER, Loaded, compiled, packet

MAY = "{name: dns, from: web, to: db, ports: udp/53}"
FAR_AWAY, IN_THE_RANGE = "10.99.0.5", "10.8.9.9"


def wide() -> Compiled:
    return compiled(MAY, peer=f"{PEER}/32 {OTHER}/32 10.99.0.0/24 10.8.9.0/24")


def narrow() -> Compiled:
    return compiled(MAY, peer=f"{PEER}/32")


@pytest.fixture
def it() -> Iterator[Loaded]:
    loaded = Loaded(wide())
    with closing(loaded.datapath):
        yield loaded


def test_an_address_that_left_is_nobodys_in_both_slots(it: Loaded) -> None:
    it.put(wide())
    assert it.judge(packet(FAR_AWAY, HERE)) is Reason.NO_IDENTITY
    assert_both_slots_forget(it)


def test_a_disarmed_slot_leaves_nothing_for_the_policy_after_it(it: Loaded) -> None:
    it.put(wide())
    it.put(wide())
    for slot in (it.datapath.in_force.idle, it.datapath.in_force.slot):
        it.write(slot, EMPTY)
        it.datapath.commit(slot, it.datapath.in_force.revision + 1)
        assert it.judge(packet(PEER, HERE)) is Reason.NOT_READY
    assert_both_slots_forget(it)


def assert_both_slots_forget(it: Loaded) -> None:
    """Of what the wide policy had and the narrow one has not, none is left in either."""
    for _ in range(2):
        it.put(narrow())
        for gone in (OTHER, FAR_AWAY, IN_THE_RANGE):
            assert it.judge(packet(gone, HERE)) is Reason.UNKNOWN_SOURCE


def test_a_slot_of_which_nothing_is_known_is_rewritten_whole(it: Loaded) -> None:
    it.put(wide())
    it.put(wide())
    image = draw(narrow(), it.datapath.capacity, {})
    held = it.datapath.lists(it.datapath.in_force.slot)
    idle = it.datapath.in_force.idle
    it.datapath.write(idle, image, known=None, held=held)
    it.datapath.commit(idle, 9)
    for gone in (OTHER, FAR_AWAY, IN_THE_RANGE):
        assert it.judge(packet(gone, HERE)) is Reason.UNKNOWN_SOURCE


def test_the_lists_in_force_are_read_back_as_they_were_placed(it: Loaded) -> None:
    it.put(narrow())
    slot = it.datapath.in_force.slot
    assert it.datapath.lists(slot) == dict(it.images[slot].lists)
    assert it.images[slot].lists


def test_an_image_that_is_too_large_is_refused(it: Loaded) -> None:
    image = draw(narrow(), it.datapath.capacity, {})
    long = Image({**image.arrays, "addr4": bytes(1 << 20)}, image.prefixes, image.lists)
    with pytest.raises(ValueError, match="addr4"):
        it.datapath.write(1, long, known=EMPTY, held={})
