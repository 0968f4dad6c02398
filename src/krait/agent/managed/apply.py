# SPDX-License-Identifier: Apache-2.0
"""Doing one step, by who can."""

from typing import assert_never

from krait.agent.managed.diff import (
    Addresses,
    Configure,
    Listen,
    Make,
    Routes,
    SetMtu,
    SetMulticast,
    Step,
    Up,
)
from krait.agent.managed.ports import Maker
from krait.common.errors import KraitError
from krait.kernel.link import Link


def apply(step: Step, link: Link | None, maker: Maker) -> Link | None:
    """Returns the link that the next step is about: the one that was looked at, or that was made.

    Raises what the maker raises.
    """
    match step:
        case Make(mtu):
            return maker.make(mtu)
        case Configure(change):
            maker.configure(_there(link), change)
        case Addresses(gone, new):
            maker.change_addresses(_there(link).ifindex, gone, new)
        case Routes(lead, gone, new):
            ifindex = _there(link).ifindex if lead.needs_device else None
            maker.change_routes(ifindex, lead, gone, new)
        case SetMtu(mtu):
            maker.set_mtu(_there(link).ifindex, mtu)
        case SetMulticast(on):
            maker.set_multicast(_there(link).ifindex, on=on)
        case Listen(port):
            maker.listen(_there(link), port)
        case Up():
            maker.set_up(_there(link).ifindex)
        case _:
            assert_never(step)
    return link


def _there(link: Link | None) -> Link:
    if link is None:
        raise KraitError("the interface is gone")
    return link
