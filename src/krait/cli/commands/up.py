# SPDX-License-Identifier: Apache-2.0
"""`krait up [IFACE] [--config FILE]`: make the interface that a document describes, and keep it."""

import re
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from krait.agent import key, log, source, wiring
from krait.agent.desired import Source
from krait.agent.managed import trials
from krait.agent.managed.keeper import NotOurs, preshared_keys
from krait.agent.managed.orders import Orders
from krait.agent.managed.ports import Maker
from krait.agent.managed.turn import Turn
from krait.agent.paths import Paths
from krait.agent.state import Live, read_live
from krait.cli import attaching, ordered, output, service
from krait.cli.asked import config_option
from krait.cli.doctor.finding import Level
from krait.cli.doctor.forwarding import forwarding
from krait.cli.undoing import Undo
from krait.cli.waiting import progress
from krait.common.errors import ExitCode, KraitError, UsageError
from krait.kernel import capability, wireguard
from krait.kernel.facts import observe_facts
from krait.kernel.lock import Held, holder
from krait.policy.device import WantedDevice

_LENGTH = re.compile(r"(\d{1,6})([smh]?)")
_LEAST_S = 5
_MARKING_S, _LOOK_S = 5.0, 0.05


def configure(parser: ArgumentParser) -> None:
    """The interface is the document's, or the document the interface's."""
    parser.add_argument(
        "interface", metavar="IFACE", nargs="?", help="default: the document's `interface`"
    )
    config_option(parser)
    parser.add_argument(
        "--node",
        metavar="NAME",
        help="which node of the document this machine is (default: the one with its key)",
    )
    parser.add_argument(
        "--confirm",
        metavar="TIME",
        type=_length_s,
        help="go back after so long, such as 60s, unless `krait confirm` follows",
    )
    parser.add_argument(
        "--foreground", action="store_true", help="stay, and be the agent, instead of leaving one"
    )
    attaching.option(parser)
    parser.add_argument(
        "--userspace",
        metavar="PROGRAM",
        help="a userspace WireGuard, such as wireguard-go, where the kernel has none",
    )
    output.json_option(parser)


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked for, found to be possible."""

    orders: Orders
    device: WantedDevice
    trial_s: float | None
    stays: bool  # the command is the agent


def run(options: Namespace) -> int:
    """0: the interface is up behind its filter; with --foreground, it was told to end."""
    paths = Paths.here()
    capability.require(*capability.NEEDED)
    paths.require()
    with progress(f"reading {options.config or 'the document'}"):
        found = ordered.document(options.config, options.interface, paths)
    interface = options.interface or found.document.interface
    if interface is None:
        raise UsageError(
            f"{found.path} does not say `interface:`", hint="say it there, or: krait up IFACE …"
        )
    with Turn.take(interface, paths) as turn:
        request = _examine(options, turn, found)
        is_up = turn.standing.orders == request.orders and _has_ready_agent(interface, paths)
        if not is_up or request.stays:
            with Undo(turn) as undo:
                _order(turn, request)
                if request.stays:
                    _stay(turn, undo)
                    return ExitCode.OK
                with progress(f"starting the agent of {interface}"):
                    service.restart(interface, paths)
                live = service.require_in_force(interface, paths, request.orders.config)
        else:
            _require_no_trial(interface, request)
            service.reload(interface, paths)
            live = service.require_in_force(interface, paths, request.orders.config)
        _tell(options, turn, request, live, was_up=is_up)
    return ExitCode.OK


def _examine(options: Namespace, turn: Turn, found: Source) -> _Request:
    """All that can be told to be wrong before anything is touched. Makes a key if there is none."""
    interface, paths, standing = turn.interface, turn.paths, turn.standing
    if not options.foreground and not service.sees(Path(found.path), interface, paths):
        raise UsageError(
            f"{found.path} is hidden from the agent's unit, as all homes and temporary files are",
            hint=f"put it at {paths.configs_of(interface)[0]}",
        )
    if options.confirm is not None and standing.confirmed is not None:
        _require_way_back(standing.confirmed, interface)
    orders = _orders(options, found, standing.orders)
    new, is_new = key.make(paths.key_of(interface))
    if is_new:
        output.note(f"this machine has a key now; its node has `public_key: {_text(new.public)}`")
    device = wiring.wanted(found, interface=interface, orders=orders, paths=paths)
    make = wiring.maker(interface, paths, orders.userspace)
    preshared_keys(device, make)
    if not _is_free_or_ours(make, turn):
        raise NotOurs(interface)
    make.require_free(device)
    make.require_no_loop(device)
    pid = holder(paths.lock_of(interface))
    if pid is not None and standing.orders is None:
        if options.foreground:
            raise Held(f"an agent waits for {interface}, as if something else made it", pid)
        output.note(f"the agent that waited for {interface} ends (pid {pid or 'unknown'})")
    return _Request(orders, device, options.confirm, options.foreground)


def _is_free_or_ours(make: Maker, turn: Turn) -> bool:
    """A userspace WireGuard's device is there before it has our mark: if an agent of ours lives,
    left behind by an `up` that was killed, it may be about to give it.
    """
    ends_s = time.monotonic() + _MARKING_S
    while (link := make.link()) is not None and not make.is_ours(link):
        lives = holder(turn.paths.lock_of(turn.interface)) is not None
        if turn.standing.orders is None or not lives or time.monotonic() > ends_s:
            return False
        time.sleep(_LOOK_S)
    return True


def _orders(options: Namespace, found: Source, before: Orders | None) -> Orders:
    """Options that are not given are as they were."""
    kind = attaching.chosen(options)
    attach = kind.value if kind else None
    if before is None:
        return Orders(found.path, options.node, options.userspace, attach)
    return Orders(
        config=found.path,
        node=options.node or before.node,
        userspace=options.userspace or before.userspace,
        attach=before.attach if options.attach is None else attach,
    )


def _require_way_back(before: Orders, interface: str) -> None:
    try:
        source.read(Path(before.config), interface)
    except UsageError as error:
        raise UsageError(f"there would be no way back: {error.message}", hint=error.hint) from error


def _has_ready_agent(interface: str, paths: Paths) -> bool:
    """One that only just starts has nothing yet to show for it, and dies of a signal to reload."""
    pid, live = holder(paths.lock_of(interface)), read_live(paths.live_of(interface))
    return pid is not None and live is not None and pid in (0, live.pid)


def _require_no_trial(interface: str, request: _Request) -> None:
    if request.trial_s is not None:
        raise UsageError(
            f"{request.orders.config} is what {interface} is made from already: its changes count "
            "as they are saved, and there is nothing to go back to",
            hint="try a changed copy: krait up --config COPY --confirm 60s",
        )


def _order(turn: Turn, request: _Request) -> None:
    """The way back is written down, and walked by a process of its own, before anything is done."""
    turn.order(request.orders, request.trial_s)
    if request.trial_s is not None:
        service.leave_behind(turn.interface, turn.paths, "rollback", turn.interface, "--when-due")


def _stay(turn: Turn, undo: Undo) -> None:
    """Be the agent; once it is up, others have their turn, and nothing that happens undoes it."""

    def is_up() -> None:
        undo.dismiss()
        turn.close()

    log.configure(turn.interface)
    agent = partial(wiring.keep, turn.interface, paths=turn.paths, on_ready=is_up)
    trials.keep(turn.interface, turn.paths, agent)


def _tell(options: Namespace, turn: Turn, request: _Request, live: Live, *, was_up: bool) -> None:
    interface, paths, device = turn.interface, turn.paths, request.device
    addresses = [str(each.ip) for each in device.addresses]
    at_boot = service.command_for_boot(interface, paths)
    trial = turn.standing.trial
    left_s = round(trial.left_s()) if trial else None
    faults = _faults(interface, request, live, paths)
    if options.json:
        output.document(
            {
                "interface": interface,
                "node": device.node,
                "addresses": addresses,
                "peers": len(device.peers),
                "config": request.orders.config,
                "was_up": was_up,
                "confirm_within_s": left_s,
                "warnings": [message for message, _ in faults],
            }
        )
        return
    output.line(f"{interface} {'was up already' if was_up else 'is up'}")
    by_default = options.config is None
    is_remembered = by_default and not ordered.is_usual(request.orders.config, interface, paths)
    suffix = ", as last time" if is_remembered else ""
    rows = [
        ("node", f"{device.node}: {', '.join(addresses)}"),
        ("peers", f"{len(device.peers):,}"),
        ("document", request.orders.config + suffix),
        ("log", service.where_it_logs(interface, paths)),
        *([("at boot", at_boot)] if at_boot else []),
    ]
    output.table(rows, indent="  ")
    sys.stdout.flush()
    for message, hint in faults:
        output.warning(message, hint)
    if left_s is not None:
        output.warning(f"it goes back in {left_s} s, unless: krait confirm {interface}")


def _faults(interface: str, request: _Request, live: Live, paths: Paths) -> list[tuple[str, str]]:
    """What is wrong though it is up, and how to mend it."""
    found = [(each.message, each.hint) for each in live.faults]
    found += [(each, "") for each in live.warnings]
    with suppress(KraitError):  # it is up, whatever cannot be said of it
        seen = wireguard.observe(interface, sockets=paths.sockets)
        answer = forwarding(observe_facts(), seen, [Path(request.orders.config)])
        if answer.level is Level.WARN:
            found.append((answer.message, answer.hint))
    return found


def _text(public_key: bytes) -> str:
    return b64encode(public_key).decode()


def _length_s(text: str) -> int:
    match = _LENGTH.fullmatch(text)
    length_s = int(match[1]) * 60 ** "smh".index(match[2]) if match else 0
    if length_s < _LEAST_S:
        raise ArgumentTypeError(f"a time of at least {_LEAST_S}s, such as 60s or 5m, not {text!r}")
    return length_s
