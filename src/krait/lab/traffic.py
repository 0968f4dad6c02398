# SPDX-License-Identifier: Apache-2.0
"""Real traffic between machines: echo servers, probes by the hundred, and flows that are timed."""

import json
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from krait.lab.machine import TIMEOUT_S, CommandFailed, Machine, Process, patient, unhurried

_PROBE = [sys.executable, "-I", "-S", str(Path(__file__).with_name("probe.py"))]
TICK_S = unhurried(0.001, 0.1)
"""Between two ticks of a flow."""

SILENCE_S = 1.0 + patient(0.5)
"""How long to listen for an answer that should not come; silence alone proves little, and costs
all of that time.
"""
_SLACK_S = patient(30.0)  # for a busy host: a probe that ends late is no denial


class Protocol(StrEnum):
    """What a probe or a flow speaks; ICMP means ICMPv6 for an IPv6 address."""

    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"


@dataclass(frozen=True, slots=True)
class Target:
    """What to try: one echo with `address`; `port` is 0 for ICMP."""

    protocol: Protocol
    address: str
    port: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a target.

    `answer` is `ok` (the echo came back), `timeout` (silence, which is how Krait denies),
    `refused` (it got there and nothing listens), or the name of an errno.
    """

    target: Target
    answer: str
    elapsed_s: float

    @property
    def ok(self) -> bool:
        """Whether the echo came back."""
        return self.answer == "ok"


def serve(machine: Machine, addresses: Iterable[str], ports: Iterable[int]) -> Process:
    """Answer TCP and UDP echo on every port of every address; returns once all are bound."""
    return _start(machine, "serve", addresses=list(addresses), ports=list(ports))


def ask(
    questions: Mapping[Machine, Sequence[Target]], timeout_s: float = TIMEOUT_S
) -> dict[Machine, tuple[Answer, ...]]:
    """Try each machine's targets, all machines and all targets at once.

    A target is given `timeout_s`; so is the whole: ask apart what should answer, and what should
    not, with SILENCE_S. The answers are in the order of the targets.
    """
    asked = [
        (machine, targets, _spawn(machine, "ask", targets=_rows(targets), timeout_s=timeout_s))
        for machine, targets in questions.items()
    ]
    return {machine: _answers(targets, process, timeout_s) for machine, targets, process in asked}


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of a flow: ticks sent at one end, and what the other end received of them.

    Times are CLOCK_MONOTONIC nanoseconds, the same in every machine of namespaces; 0 is never.
    `last_sent_ns` is when the youngest tick that was received left its sender's hands: it may have
    waited long on the way, so `last_ns` says little of what was sent when.
    """

    sent: int
    received: int
    first_ns: int
    last_ns: int
    last_sent_ns: int
    longest_gap_ns: int


@dataclass(frozen=True, slots=True)
class FlowReport:
    """A flow so far: from the client, and back to it; `error` is empty while it is whole."""

    forward: Direction
    backward: Direction
    error: str


class Flow:
    """A live TCP or UDP flow: both ends send a tick every interval and note what they receive."""

    def __init__(
        self, client: Machine, server: Machine, target: Target, *, interval_s: float = TICK_S
    ) -> None:
        """Opens the flow, from client to server; raises CommandFailed if it cannot open.

        A UDP flow is open when its socket is: see `report` for whether anything arrives.
        """
        options = {
            "protocol": target.protocol,
            "address": target.address,
            "port": target.port,
            "interval_s": interval_s,
        }
        self._reports = 0
        self._server = _start(server, "flow", listen=True, **options)
        try:
            self._client = _start(client, "flow", listen=False, **options)
        except BaseException:
            self._server.kill_all()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.kill_all()
        self._server.kill_all()

    def report(self) -> FlowReport:
        """Both directions up to now; the flow goes on. (Leaving the `with` ends it.)"""
        self._reports += 1
        client, server = self._account(self._client), self._account(self._server)
        return FlowReport(
            forward=_direction(client, server),
            backward=_direction(server, client),
            error=client["error"] or server["error"],
        )

    def _account(self, process: Process) -> dict[str, Any]:
        process.kill(signal.SIGUSR1)
        line = process.wait_for_line(f'{{"report": {self._reports},')
        account: dict[str, Any] = json.loads(line)
        return account


def _start(machine: Machine, mode: str, **options: object) -> Process:
    process = _spawn(machine, mode, **options)
    try:
        process.wait_for_output('"ready"')
    except BaseException:
        process.kill_all()
        raise
    return process


def _spawn(machine: Machine, mode: str, **options: object) -> Process:
    return machine.spawn([*_PROBE, mode], stdin=json.dumps(options))


def _rows(targets: Sequence[Target]) -> list[tuple[str, str, int]]:
    return [(target.protocol, target.address, target.port) for target in targets]


def _answers(targets: Sequence[Target], process: Process, timeout_s: float) -> tuple[Answer, ...]:
    code = process.wait(timeout_s + _SLACK_S)
    if code:
        raise CommandFailed(f"probe: exit code {code}", stderr=process.stderr)
    lines = process.stdout.splitlines()
    return tuple(
        Answer(target, **json.loads(line)) for target, line in zip(targets, lines, strict=True)
    )


def _direction(sender: Mapping[str, Any], receiver: Mapping[str, Any]) -> Direction:
    return Direction(
        sent=sender["sent"],
        received=receiver["received"],
        first_ns=receiver["first_ns"],
        last_ns=receiver["last_ns"],
        last_sent_ns=receiver["last_sent_ns"],
        longest_gap_ns=receiver["longest_gap_ns"],
    )
