# SPDX-License-Identifier: Apache-2.0
"""Interfaces in a namespace of the test's own, followed while `ip` changes them."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import pytest

from krait.kernel.link_watch import Change, LinkEvent, Resync, watch
from tests.requirements import need_tools

need_tools("ip")

pytestmark = pytest.mark.usefixtures("netns")

Events = AsyncGenerator[LinkEvent | Resync, None]


def ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)


async def first(events: Events, wanted: Callable[[LinkEvent | Resync], bool]) -> LinkEvent | Resync:
    """The next event that is wanted; others, of other interfaces, are passed over."""

    async def seek() -> LinkEvent | Resync:
        async for event in events:
            if wanted(event):
                return event
        raise AssertionError("the watch ended")

    return await asyncio.wait_for(seek(), 10)


async def expect(events: Events, change: Change, name: str) -> LinkEvent:
    """The next change of that interface, which must be this one."""
    event = await first(events, lambda each: isinstance(each, LinkEvent) and each.name == name)
    assert isinstance(event, LinkEvent)
    assert event.change is change
    return event


def watching(scenario: Callable[[Events], Awaitable[None]], receive_buffer_bytes: int) -> None:
    async def play() -> None:
        async with aclosing(watch(receive_buffer_bytes)) as events:
            assert await anext(events) == Resync()
            await scenario(events)

    asyncio.run(play())


def test_an_interface_is_followed_from_its_making_to_its_end() -> None:
    async def scenario(events: Events) -> None:
        ip("link add br7 type bridge")
        made = await expect(events, Change.PRESENT, "br7")
        assert made.ifindex == socket.if_nametoindex("br7")
        ip("link set br7 mtu 1400")
        await expect(events, Change.CHANGED, "br7")
        ip("address add 10.8.0.1/24 dev br7")
        await expect(events, Change.ADDRESS, "br7")
        ip("address del 10.8.0.1/24 dev br7")
        await expect(events, Change.ADDRESS, "br7")
        ip("link del br7")
        gone = await first(events, lambda event: getattr(event, "change", None) is Change.GONE)
        assert gone == LinkEvent(Change.GONE, made.ifindex, "br7")

    watching(scenario, 1 << 20)


def test_a_rename_is_the_end_of_one_name_and_the_start_of_another() -> None:
    ip("link add br7 type bridge")

    async def scenario(events: Events) -> None:
        ip("link set br7 name br8")
        gone = await expect(events, Change.GONE, "br7")
        present = await expect(events, Change.PRESENT, "br8")
        assert gone.ifindex == present.ifindex

    watching(scenario, 1 << 20)


def test_an_interface_that_moves_to_another_namespace_is_told_from_one_that_is_deleted() -> None:
    ip("link add v0 type veth peer name v1")
    away = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo there; exec sleep inf"], stdout=subprocess.PIPE
    )
    assert away.stdout is not None
    try:
        assert away.stdout.readline() == b"there\n"

        async def scenario(events: Events) -> None:
            ip(f"link set v0 netns {away.pid}")
            assert (await expect(events, Change.GONE, "v0")).moved
            ip("link del v1")
            assert not (await expect(events, Change.GONE, "v1")).moved

        watching(scenario, 1 << 20)
    finally:
        away.kill()
        away.wait()
        away.stdout.close()


def test_an_interface_made_anew_under_its_old_name_has_a_new_number() -> None:
    ip("link add br7 type bridge")
    old = socket.if_nametoindex("br7")

    async def scenario(events: Events) -> None:
        ip("link del br7")
        ip("link add br7 type bridge")
        gone = await first(events, lambda event: getattr(event, "change", None) is Change.GONE)
        assert gone == LinkEvent(Change.GONE, old, "br7")
        present = await expect(events, Change.PRESENT, "br7")
        assert present.ifindex != old

    watching(scenario, 1 << 20)


def test_a_port_that_leaves_its_bridge_is_not_taken_for_gone() -> None:
    ip("link add br7 type bridge")
    ip("link add v0 type veth peer name v1")
    ip("link set v0 master br7")

    async def scenario(events: Events) -> None:
        ip("link set v0 nomaster")
        ip("link add last type bridge")
        seen: list[LinkEvent | Resync] = []

        def last(event: LinkEvent | Resync) -> bool:
            seen.append(event)
            return isinstance(event, LinkEvent) and event.name == "last"

        await first(events, last)
        changes = [event for event in seen if isinstance(event, LinkEvent)]
        of_port = {event.change for event in changes if event.name == "v0"}
        assert of_port == {Change.CHANGED}

    watching(scenario, 1 << 20)


def test_an_overrun_is_answered_by_a_resync_and_the_watch_goes_on() -> None:
    async def scenario(events: Events) -> None:
        for number in range(50):
            ip(f"link add br{number} type bridge")
        await first(events, lambda event: event == Resync())
        ip("link set br49 mtu 1400")
        await expect(events, Change.CHANGED, "br49")

    watching(scenario, 1)
