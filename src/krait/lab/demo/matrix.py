# SPDX-License-Identifier: Apache-2.0
"""Who reaches whom: what the reference evaluator expects of each probe, and what came of it. Pure.

A cell is one probe from one host to another over one family. Nothing here knows the policy: what
is expected is decided straight from the document's rules.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from krait.lab.traffic import Answer, Protocol
from krait.policy.evaluate import Decision, decide
from krait.policy.model import ECHO_REQUEST, ICMP4, ICMP6, TCP, UDP, Document
from krait.policy.owners import find


@dataclass(frozen=True, slots=True)
class Probe:
    """What is tried between every two hosts; `letter` stands for it in a drawn matrix."""

    letter: str
    protocol: Protocol
    port: int = 0

    def __str__(self) -> str:
        return f"{self.protocol}/{self.port}" if self.port else str(self.protocol)


PROBES = (
    Probe("s", Protocol.TCP, 22),
    Probe("p", Protocol.TCP, 5432),
    Probe("w", Protocol.TCP, 8080),
    Probe("u", Protocol.UDP, 8080),
    Probe("i", Protocol.ICMP),
)
FAMILIES = (4, 6)
_NUMBERS = {
    (Protocol.TCP, 4): TCP,
    (Protocol.TCP, 6): TCP,
    (Protocol.UDP, 4): UDP,
    (Protocol.UDP, 6): UDP,
    (Protocol.ICMP, 4): ICMP4,
    (Protocol.ICMP, 6): ICMP6,
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One probe between two hosts; `family` is 4 or 6."""

    source: str
    destination: str
    probe: Probe
    family: int

    def __str__(self) -> str:
        return f"{self.source} to {self.destination}, {self.probe} over IPv{self.family}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a cell should do and what it did.

    `answer` is that of `lab.traffic.Answer`: `ok` is a pass and `timeout` a drop; anything else
    is neither, and agrees with nothing.
    """

    cell: Cell
    decision: Decision
    answer: str

    @property
    def agrees(self) -> bool:
        """A denied probe must time out: an answer of any other kind was not a drop."""
        return self.answer == ("ok" if self.decision.allows else "timeout")


Matrix = tuple[Outcome, ...]


def cells(hosts: Sequence[str]) -> tuple[Cell, ...]:
    """Every probe over both families between every ordered pair of hosts."""
    return tuple(
        Cell(source, destination, probe, family)
        for source in hosts
        for destination in hosts
        if source != destination
        for probe in PROBES
        for family in FAMILIES
    )


def expect(document: Document, every: Iterable[Cell]) -> dict[Cell, Decision]:
    """What the document says of each cell."""
    return {cell: _decide(document, cell) for cell in every}


def compare(expected: Mapping[Cell, Decision], answers: Mapping[Cell, Answer]) -> Matrix:
    """Both sides of every cell."""
    return tuple(
        Outcome(cell, decision, answers[cell].answer) for cell, decision in expected.items()
    )


def wrong(matrix: Matrix) -> Matrix:
    """The cells that disagree."""
    return tuple(outcome for outcome in matrix if not outcome.agrees)


def _decide(document: Document, cell: Cell) -> Decision:
    source, destination = (find(document, name) for name in (cell.source, cell.destination))
    number = _NUMBERS[cell.probe.protocol, cell.family]
    port = ECHO_REQUEST.get(number, cell.probe.port)
    return decide(document.policy, source.identity, destination.identity, number, port)
