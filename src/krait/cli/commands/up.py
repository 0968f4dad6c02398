# SPDX-License-Identifier: Apache-2.0
"""`krait up [IFACE] [--config FILE]`: make the interface that a document describes, and keep it."""

import re
import subprocess
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from krait.agent import key, log, source, wiring
from krait.agent.managed import orders as written
from krait.agent.managed.keeper import NotOurs
from krait.agent.managed.orders import Orders
from krait.agent.paths import Paths
from krait.cli import output, service
from krait.cli.amounts import plural
from krait.common.errors import ExitCode, UsageError
from krait.kernel import capability
from krait.kernel.files import read_at_most
from krait.kernel.lock import Held, Lock, holder
from krait.kernel.seat import AttachKind
from krait.policy.device import WantedDevice
from krait.policy.document import load
from krait.policy.yaml_source import MAX_BYTES

_LENGTH = re.compile(r"(\d+)(s|m|h)?")
_UNIT_S = {None: 1, "s": 1, "m": 60, "h": 3600}
_LEAST_S = 5


def configure(parser: ArgumentParser) -> None:
    """The interface is the document's, or the document the interface's."""
    parser.add_argument(
        "interface", metavar="IFACE", nargs="?", help="default: the document's `interface`"
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="the document (default: /etc/krait/IFACE.yaml, then /etc/krait/krait.yaml)",
    )
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
    parser.add_argument(
        "--attach",
        choices=["auto", *(kind.value for kind in AttachKind)],
        default="auto",
        help="how to attach the filter (default: the best this kernel knows)",
    )
    parser.add_argument(
        "--userspace",
        metavar="PROGRAM",
        help="a userspace WireGuard, such as wireguard-go, where the kernel has none",
    )
    output.json_option(parser)


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked for, found to be possible."""

    interface: str
    orders: Orders
    device: WantedDevice


def run(options: Namespace) -> int:
    """0: the interface is up behind its filter; with --foreground, it was told to end."""
    paths = Paths.here()
    capability.require(*capability.NEEDED)
    paths.require()
    interface, config = _subject(options, paths)
    with Lock.take(paths.turn_of(interface), f"another command works on {interface}"):
        request = _examine(options, interface, config, paths)
        before = _before(interface, paths)
        if _is_kept_so(request, before, paths) and not options.foreground:
            _require_no_trial(options, request)
            service.reload(interface, paths)
            _tell(options, request, paths, was_up=True)
            return ExitCode.OK
        _give_orders(options, request, before, paths)
        if not options.foreground:
            _start(request, before, paths)
            _tell(options, request, paths, was_up=False)
            return ExitCode.OK
    log.configure(interface)
    wiring.keep(interface, paths=paths)
    return ExitCode.OK


def _subject(options: Namespace, paths: Paths) -> tuple[str, Path]:
    """Which interface, and from which document."""
    if options.config is None:
        if options.interface is None:
            raise UsageError(
                "which interface, or which document?",
                hint="krait up --config FILE, or krait up IFACE with /etc/krait/IFACE.yaml",
            )
        found = source.find(options.interface, paths.configs_of(options.interface))
        return options.interface, found.absolute()
    config = options.config.absolute()
    interface = options.interface or _interface_of(config)
    if interface is None:
        raise UsageError(
            f"{config} does not say `interface:`", hint="say it there, or: krait up IFACE …"
        )
    return interface, config


def _interface_of(config: Path) -> str | None:
    """The interface that a document is for."""
    try:
        data = read_at_most(config, MAX_BYTES)
    except OSError as error:
        raise UsageError(
            f"cannot read {config}: {error.strerror}", hint="`krait example` prints a first one"
        ) from error
    return load(data, str(config)).interface


def _examine(options: Namespace, interface: str, config: Path, paths: Paths) -> _Request:
    """All that can be told to be wrong before anything is touched. Makes a key if there is none."""
    if not options.foreground and not service.sees(config, interface, paths):
        raise UsageError(
            f"{config} is hidden from the agent's unit, as all homes and temporary files are",
            hint=f"put it at {paths.configs_of(interface)[0]}",
        )
    orders = Orders(
        config=str(config),
        node=options.node,
        userspace=options.userspace,
        attach=None if options.attach == "auto" else options.attach,
    )
    new, is_new = key.make(paths.key_of(interface))
    if is_new:
        output.note(f"this machine has a key now; its node has `public_key: {_text(new.public)}`")
    document = source.read(config, interface)
    device = wiring.wanted(document, interface, orders, paths)
    make = wiring.maker(interface, paths, orders.userspace)
    link = make.link()
    if link is None:
        make.require_free(set(device.mesh))
    elif not make.is_ours(link):
        raise NotOurs(interface)
    return _Request(interface, orders, device)


def _before(interface: str, paths: Paths) -> Orders | None:
    before = written.read_orders(paths.orders_of(interface))
    if before is None and (pid := holder(paths.lock_of(interface))) is not None:
        raise Held(f"an agent gives policy to {interface}, which something else makes", pid)
    return before


def _is_kept_so(request: _Request, before: Orders | None, paths: Paths) -> bool:
    """Whether an agent does already what is asked for."""
    return before == request.orders and holder(paths.lock_of(request.interface)) is not None


def _require_no_trial(options: Namespace, request: _Request) -> None:
    if options.confirm is not None:
        raise UsageError(
            f"{request.orders.config} is what {request.interface} is made from already: its "
            "changes count as they are saved, and there is nothing to go back to",
            hint="try a changed copy: krait up --config COPY --confirm 60s",
        )


def _give_orders(
    options: Namespace, request: _Request, before: Orders | None, paths: Paths
) -> None:
    """The way back is written down, and walked by a process of its own, before anything is done."""
    interface, trial = request.interface, paths.trial_of(request.interface)
    if options.confirm is None:
        trial.unlink(missing_ok=True)
    else:
        if (running := written.read_trial(trial)) is not None:
            before = running.before  # what was confirmed last
        written.write_trial(trial, written.begin_trial(options.confirm, before))
        subprocess.Popen(  # noqa: S603 - ourselves
            [*service.ourselves(), "rollback", interface, "--when-due"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
    written.write_orders(paths.orders_of(interface), request.orders)


def _start(request: _Request, before: Orders | None, paths: Paths) -> None:
    """Should the agent not start, all is as it was: an earlier one goes on with its own orders."""
    interface = request.interface
    try:
        service.restart(interface, paths)
    except Exception:
        paths.trial_of(interface).unlink(missing_ok=True)
        if before is None:
            paths.orders_of(interface).unlink(missing_ok=True)
        else:
            written.write_orders(paths.orders_of(interface), before)
            service.restart(interface, paths)
        raise


def _tell(options: Namespace, request: _Request, paths: Paths, *, was_up: bool) -> None:
    interface, device = request.interface, request.device
    addresses = [str(each.ip) for each in device.addresses]
    at_boot = service.keeps_at_boot(interface, paths)
    if options.json:
        output.document(
            {
                "interface": interface,
                "node": device.node,
                "addresses": addresses,
                "peers": len(device.peers),
                "config": request.orders.config,
                "was_up": was_up,
                "confirm_within_s": options.confirm,
            }
        )
        return
    output.line(
        f"{interface} {'was up already' if was_up else 'is up'}: {device.node}, "
        f"{', '.join(addresses)}, {plural(len(device.peers), 'peer')}"
    )
    output.line(f"  document  {request.orders.config}")
    output.line(f"  log       {service.where_it_logs(interface, paths)}")
    if at_boot:
        output.line(f"  at boot   {at_boot}")
    if options.confirm is not None:
        output.warning(f"it goes back in {options.confirm} s, unless: krait confirm {interface}")
    sys.stdout.flush()


def _text(public_key: bytes) -> str:
    return b64encode(public_key).decode()


def _length_s(text: str) -> int:
    match = _LENGTH.fullmatch(text)
    length_s = int(match[1]) * _UNIT_S[match[2]] if match else 0
    if length_s < _LEAST_S:
        raise ArgumentTypeError(f"a time of at least {_LEAST_S}s, such as 60s or 5m, not {text!r}")
    return length_s
