# SPDX-License-Identifier: Apache-2.0
"""`krait detach IFACE`: take the policy off an interface, and say what that means."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import asdict

from krait.agent import wiring
from krait.agent.leave import Left, leave
from krait.agent.paths import Paths
from krait.cli import again, output
from krait.common.errors import ExitCode, UsageError


def configure(parser: ArgumentParser) -> None:
    """The interface must be said, so that no policy is taken off by mistake."""
    parser.add_argument("interface", metavar="IFACE", help="the interface, there or not")
    output.json_option(parser)


def run(options: Namespace) -> int:
    """0: nothing of Krait is left on the interface."""
    paths = Paths.here()
    _require_not_made(options.interface, paths)
    restart = again.command(options.interface, paths)  # first, for what it reads is removed
    left = leave(options.interface, paths)
    if options.json:
        output.document({"interface": options.interface, **asdict(left)})
        return ExitCode.OK
    for text in _warnings(options.interface, left, restart):
        output.warning(text)
    if left.something_was_removed:
        output.line(f"{options.interface}: filters, pins and state of Krait removed")
    else:
        output.line(f"{options.interface}: there was nothing of Krait")
    return ExitCode.OK


def _require_not_made(name: str, paths: Paths) -> None:
    """A device that Krait made would be left up, and bare, and an agent would mend that."""
    made = wiring.maker(name, paths)
    link = made.link()
    if link is not None and made.is_ours(link):
        raise UsageError(f"`krait up` made {name}", hint=f"take it away: krait down {name}")


def _warnings(name: str, left: Left, restart: str) -> Iterator[str]:
    if left.was_enforcing:
        yield f"{name} IS NOT PROTECTED ANY MORE"
        yield "its peers may now open whatever WireGuard and the routes let through"
        yield f"to protect it again: {restart}"
    if left.was_guarding:
        yield f"the addresses of {name} are reached through other interfaces, too: the guard is off"
    if left.had_gone:
        yield f"NOR IS the device that was called {name} before it was renamed or moved away"
    if not left.was_enforcing and not left.interface_is_there and left.something_was_removed:
        yield f"there is no interface {name} now; the next of that name will not be protected"
    if left.others_keep_qdisc:
        yield f"the clsact qdisc of {name} stays: it has filters of others"
    for place in left.strange_pins:
        yield f"{place} stays: Krait did not make it; look at it, then: rm -r {place}"
