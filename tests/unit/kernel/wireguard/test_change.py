# SPDX-License-Identifier: Apache-2.0
"""What a change holds, and what it does not show."""

import pytest

from krait.kernel.wireguard.change import DeviceChange, PeerChange

A, B = b"A" * 32, b"B" * 32
SECRET = b"0123456789abcdefghijklmnopqrstuv"


def test_no_key_that_is_secret_is_in_a_repr() -> None:
    shown = repr(DeviceChange(SECRET, peers=(PeerChange(A, SECRET),)))
    assert "0123456789" not in shown
    assert "AAAA" in shown


def test_a_wrong_key_is_refused_without_being_shown() -> None:
    for make in (
        lambda: DeviceChange(SECRET[1:]),
        lambda: PeerChange(A, SECRET[1:]),
        lambda: PeerChange(SECRET[1:]),
    ):
        with pytest.raises(ValueError, match=r"^a key of 31 bytes; it has 32$"):
            make()


@pytest.mark.parametrize("value", [-1, 65536])
def test_what_does_not_fit_sixteen_bits_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="0 to 65535"):
        PeerChange(A, keepalive_s=value)
    with pytest.raises(ValueError, match="0 to 65535"):
        DeviceChange(listen_port=value)


def test_a_change_of_nothing_is_false() -> None:
    assert not DeviceChange()
    for change in (
        DeviceChange(SECRET),
        DeviceChange(listen_port=0),
        DeviceChange(fwmark=0),
        DeviceChange(peers=(PeerChange(A),)),
    ):
        assert change


def test_removals_come_first_and_the_rest_keeps_its_order() -> None:
    peers = (PeerChange(B), PeerChange(A), PeerChange(A, remove=True))
    assert DeviceChange(peers=peers).ordered == (peers[2], peers[0], peers[1])
