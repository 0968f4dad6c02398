# SPDX-License-Identifier: Apache-2.0
"""`krait init IFACE`: a document that allows what the interface does today."""

import os
import sys
from argparse import ArgumentParser, Namespace

from krait.agent.managed.orders import read_standing
from krait.agent.paths import Paths
from krait.cli import output
from krait.common.errors import ExitCode, UsageError
from krait.kernel import wireguard
from krait.kernel.facts import observe_facts
from krait.kernel.link import NoSuchInterface, observe_link
from krait.kernel.surroundings import other_links
from krait.policy.draft import Scene, draft
from krait.policy.view import InterfaceAddress


def configure(parser: ArgumentParser) -> None:
    """The interface must be there."""
    parser.add_argument("interface", metavar="IFACE", help="a WireGuard interface, such as wg0")
    output.json_option(parser)


def run(options: Namespace) -> int:
    """0: the document is on standard output. Changes nothing."""
    try:
        scene = _observe(options.interface)
    except NoSuchInterface as error:  # a slip of the pen, not a fault of the system
        begin = "To have Krait make it, begin with: krait example --minimal"
        raise UsageError(error.message, hint=f"{error.hint}\n{begin}") from None
    _require_of_others(options.interface)
    text = draft(scene)
    if options.json:
        output.document({"document": text})
    else:
        sys.stdout.write(text)
    return ExitCode.OK


def _require_of_others(name: str) -> None:
    """What Krait made has a document already, which one that allows all must not replace."""
    paths = Paths.here()
    if (orders := read_standing(name, paths).orders) is not None:
        raise UsageError(
            f"`krait up` made {name} from {orders.config}",
            hint=f"edit that one; what is in force is a copy of it: {paths.kept_of(name)}",
        )


def _observe(name: str) -> Scene:
    link = observe_link(name)
    if link is None:
        raise NoSuchInterface(name)
    device, facts = wireguard.observe(name), observe_facts()
    families = {4: facts.forwarding4, 6: facts.forwarding6}
    return Scene(
        name=link.name,
        interface=device.as_policy_sees_it(link.addresses),
        host_name=os.uname().nodename,
        endpoints={peer.public_key: peer.endpoint for peer in device.peers if peer.endpoint},
        elsewhere=_elsewhere(link.ifindex),
        forwards=frozenset(family for family, on in families.items() if on),
    )


def _elsewhere(ifindex: int) -> tuple[InterfaceAddress, ...]:
    return tuple(
        address
        for link in other_links(ifindex)
        for address in link.addresses
        if not address.is_loopback and not address.is_link_local
    )
