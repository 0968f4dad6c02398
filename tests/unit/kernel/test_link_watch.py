# SPDX-License-Identifier: Apache-2.0
import pytest

from krait.kernel import link_watch
from krait.kernel.netlink import Message
from tests.unit.kernel.links import REST, told

NEWLINK = 16


def test_word_of_a_link_without_a_name_teaches_nothing() -> None:
    names = {7: "wg0"}
    with pytest.raises(ValueError, match="word of an interface lacks a part"):
        link_watch.events(Message(NEWLINK, 0, 0, told(7, REST)), names)
    assert names == {7: "wg0"}
