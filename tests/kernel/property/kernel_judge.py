# SPDX-License-Identifier: Apache-2.0
"""The kernel program behind the words of the reference: commit, judge, and time that passes.

Packets go through BPF_PROG_TEST_RUN with side effects. What became of one is read from the
counters that moved, as an operator would see it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from time import CLOCK_BOOTTIME, clock_gettime_ns

from krait.common import abi
from krait.common.abi import FlowState, PairLayout, Rehearsal, RejectionOutcome
from krait.common.reason import Reason
from krait.common.structs import BUDGET, FLOW, FLOW_KEY, FRAGMENT, FRAGMENT_KEY, SELF
from krait.kernel.bpf.clock import ticks_per_second
from krait.kernel.bpf.map import Map
from krait.kernel.bpf.testrun import run
from krait.kernel.datapath import OBJECT, Datapath
from krait.kernel.hook import Hook
from krait.policy.capacity import Capacity
from krait.policy.compile import compile_policy
from krait.policy.flow import FlowTuple
from krait.policy.fragment import Datagram
from krait.policy.image import Image, draw
from krait.policy.model import Address
from krait.policy.numbering import Numbers
from krait.policy.shadow import shadow_of
from tests.strategies.packets import ethernet
from tests.strategies.scenario import Send
from tests.strategies.worlds import World

TIMER_LIST = Path("/proc/timer_list")
LOOPBACK = 1
GO_ON, DROP, REDIRECT = -1, 2, 7  # TC_ACT_UNSPEC, TC_ACT_SHOT, TC_ACT_REDIRECT
LINK_HEADER_BYTES = 14
ROOM_BYTES = 1 << 16

_LOW64 = (1 << 64) - 1
_COUNTERS = ("reasons", "rules", "peers", "shadow_rules", "rejections")
_OPENER_IS_B = 1 << 30
_ANSWERED = {FlowState.TCP_ESTABLISHED, FlowState.UDP_REPLIED}


@dataclass(frozen=True)
class Outcome:
    """What became of a packet, and under what it was counted."""

    reason: Reason
    rule: str | None  # its name
    peer: bytes | None  # its public key; None also for a packet that passes
    rehearsed: tuple[str, Rehearsal] | None = None  # the shadow's rule, and what it would have done
    told: bytes | RejectionOutcome | None = None
    """What its sender was told, from the IP header on, or why not; None: nobody was to be told."""


@dataclass(frozen=True)
class Entry:
    """A flow in the table; what was decided for it shows in its packets' verdicts."""

    opener: FlowTuple
    state: FlowState
    marks: int
    age_s: float = field(compare=False)


def can_run(frame: bytes, ethertype: int) -> bool:
    """Whether BPF_PROG_TEST_RUN takes it: Linux refuses less than the header the frame promises."""
    return len(frame) >= {0x0800: 20, 0x86DD: 40}.get(ethertype, 0)


def capacity(layout: PairLayout, *, shadowing: bool = False) -> Capacity:
    """Room for every world there can be."""
    columns = 16
    pairs = columns * (columns + 1) // 2 if layout is PairLayout.TRIANGLE else columns * columns
    return Capacity(
        addr4=1 << 12,
        addr6=1 << 12,
        prefix4=64,
        prefix6=64,
        principal=64,
        columns=columns,
        pair=pairs,
        layout=layout,
        ports=1 << 12,
        rules=64,
        peers=16,
        shadow_rules=64 if shadowing else 0,
    )


class _Slots:
    """One load of the object, and what each of its slots holds."""

    def __init__(self, datapath: Datapath) -> None:
        self.datapath = datapath
        self.images: list[Image | None] = [None, None]

    def commit(self, world: World, numbers: Numbers, revision: int, clock_ns: int) -> Numbers:
        compiled = compile_policy(world.document, world.view, numbers)
        compiled = replace(compiled, clock_ns=clock_ns)
        in_force = self.datapath.in_force
        now, idle = self.images[in_force.slot], in_force.idle
        held = now.lists if now else {}
        image = draw(compiled, self.datapath.capacity, held)
        # A write that fails leaves a slot of which nothing is known.
        known, self.images[idle] = self.images[idle], None
        self.datapath.write(idle, image, known=known, held=held)
        self.images[idle] = image
        self.datapath.commit(idle, revision)
        return compiled.numbers

    def set_clock(self, clock_ns: int) -> None:
        """For all that was committed and looks at it."""
        table, at = self.datapath.maps["self"], list(SELF.offsets()).index("clock_ns")
        for key, value in _entries(table):
            fields = list(SELF.codec.unpack(value))
            if fields[at]:
                fields[at] = clock_ns
                table.update(key, SELF.codec.pack(*fields))


class KernelJudge:
    """One interface, judged by the object: loads for leaves and hubs, with and without a shadow,
    share the flows.
    """

    def __init__(self, path: Path = OBJECT) -> None:
        leaf = Datapath.load(capacity(PairLayout.ROWS), test_ifindex=LOOPBACK, path=path)
        self._slots = {(False, False): _Slots(leaf)}
        for transit, shadowing in ((False, True), (True, False), (True, True)):
            layout = PairLayout.TRIANGLE if transit else PairLayout.ROWS
            room = capacity(layout, shadowing=shadowing)
            load = Datapath.load(room, beside=leaf, test_ifindex=LOOPBACK, path=path)
            self._slots[transit, shadowing] = _Slots(load)
        self._active = self._slots[False, False]
        self._flows = leaf.maps["flows"]
        self._unanswered, self._fragments = leaf.maps["unanswered"], leaf.maps["fragments"]
        self._hz = ticks_per_second()
        self._numbers = Numbers()
        self._clock_ns = 0

    def close(self) -> None:
        for slots in self._slots.values():
            slots.datapath.close()

    def reset(self) -> None:
        """As if freshly loaded, so that a scenario is played alike whatever was played before.

        It is 1970 on the wall clock.
        """
        self._numbers = Numbers()
        self._clock_ns = -clock_gettime_ns(CLOCK_BOOTTIME)
        for table in (self._flows, self._unanswered, self._fragments):
            for key, _ in _entries(table):
                table.delete(key)
        for budgets in (*self._budgets(), *self._rejection_budgets()):
            for key, value in _entries(budgets):
                budgets.update(key, bytes(len(value)))
        for slots in self._slots.values():
            slots.images = [None, None]

    def commit(self, world: World, revision: int) -> None:
        has_shadow = shadow_of(world.document.policy) is not None
        self._active = self._slots[world.view.transit, has_shadow]
        clock_ns = self._clock_ns & _LOW64
        self._numbers = self._active.commit(world, self._numbers, revision, clock_ns)

    def judge(self, sent: Send) -> Outcome:
        datapath = self._active.datapath
        before = _counts(datapath)
        ran = run(
            datapath.programs[Hook(sent.side)].fd,
            ethernet(sent.frame, sent.ethertype),
            ingress_ifindex=LOOPBACK if sent.came_in else 0,
            room_bytes=ROOM_BYTES,
        )
        reasons, rules, peers, rehearsals, rejections = (
            [i for i, (old, new) in enumerate(zip(*tables, strict=True)) if old != new]
            for tables in zip(before, _counts(datapath), strict=True)
        )
        reason = Reason(_only(reasons) or 0)
        number = _only(rejections)
        outcome = None if number is None else RejectionOutcome(number)
        is_sent = outcome is RejectionOutcome.SENT
        assert ran.verdict == (REDIRECT if is_sent else GO_ON if reason is Reason.PASS else DROP)
        rule, peer = _only(rules), _only(peers)
        return Outcome(
            reason,
            self.rule(rule),
            self._numbers.peers[peer - 1] if peer else None,
            self._rehearsed(_only(rehearsals)),
            ran.frame[LINK_HEADER_BYTES:] if is_sent else outcome,
        )

    def _rehearsed(self, index: int | None) -> tuple[str, Rehearsal] | None:
        if index is None:
            return None
        number, outcome = divmod(index, len(Rehearsal))
        name = self._numbers.shadow_rules[number - 1] if number else "default"
        return str(name), Rehearsal(outcome)

    def rule(self, number: int | None) -> str | None:
        """The name of a rule by its number in the tables."""
        if number is None:
            return None
        return self._numbers.rules[number - 1] if number else "default"

    def flows(self) -> dict[FlowTuple, Entry]:
        jiffies = _jiffies()
        answered, waiting = (
            {
                entry.opener: entry
                for entry in (self._entry(jiffies, *each) for each in _entries(table))
            }
            for table in (self._flows, self._unanswered)
        )
        assert not answered.keys() & waiting.keys()
        assert {entry.state for entry in waiting.values()}.isdisjoint(_ANSWERED)
        return answered | waiting

    def _entry(self, jiffies: int, key: bytes, value: bytes) -> Entry:
        a_hi, a_lo, b_hi, b_lo, port_a, port_b, protocol, family, _ = FLOW_KEY.codec.unpack(key)
        word, seen, _, state, _ = FLOW.codec.unpack(value)
        a = (_address(family, a_hi, a_lo), port_a)
        b = (_address(family, b_hi, b_lo), port_b)
        opener = FlowTuple(protocol, b, a) if word & _OPENER_IS_B else FlowTuple(protocol, a, b)
        age_s = (jiffies - seen & 0xFFFF_FFFF) / self._hz
        return Entry(opener, FlowState(state & abi.STATE_MASK), state & abi.FLOW_MARKS, age_s)

    def fragments(self) -> dict[Datagram, tuple[int, int]]:
        """Of each datagram on its way: under which revision, and where its first part ends."""
        found = {}
        for key, value in _entries(self._fragments):
            a_hi, a_lo, b_hi, b_lo, number, protocol, family, egress, _ = FRAGMENT_KEY.codec.unpack(
                key
            )
            revision, _, end, _ = FRAGMENT.codec.unpack(value)
            ends = _address(family, a_hi, a_lo), _address(family, b_hi, b_lo)
            side = "egress" if egress else "ingress"
            identifier = int.from_bytes(number.to_bytes(4, "little")[: 2 if family == 4 else 4])
            found[Datagram(*ends, identifier, protocol, side)] = revision, end
        return found

    def _budgets(self) -> Iterator[Map]:
        """Each load has its own: peers are numbered anew where tables grow."""
        return (slots.datapath.maps["budgets"] for slots in self._slots.values())

    def _rejection_budgets(self) -> Iterator[Map]:
        return (slots.datapath.maps["rejection_budgets"] for slots in self._slots.values())

    def wait(self, seconds: float) -> None:
        """Make every flow, first fragment and budget so much older, and the clock so much later."""
        self._clock_ns += round(seconds * 1e9)
        for slots in self._slots.values():
            slots.set_clock(self._clock_ns & _LOW64)
        ticks = round(seconds * self._hz)
        for table in (self._flows, self._unanswered):
            for key, value in _entries(table):
                word, seen, *rest = FLOW.codec.unpack(value)
                table.update(key, FLOW.codec.pack(word, (seen - ticks) & 0xFFFF_FFFF, *rest))
        for budgets in self._budgets():
            for key, value in _entries(budgets):
                left, seen = BUDGET.codec.unpack(value)
                if seen:
                    budgets.update(key, BUDGET.codec.pack(left, (seen - ticks) & 0xFFFF_FFFF))
        for key, value in _entries(self._fragments):
            revision, seen, *parts = FRAGMENT.codec.unpack(value)
            older = FRAGMENT.codec.pack(revision, (seen - ticks) & 0xFFFF_FFFF, *parts)
            self._fragments.update(key, older)


def _entries(table: Map) -> Iterator[tuple[bytes, bytes]]:
    size, length = table.info.key_bytes, table.info.value_bytes
    for keys, values in table.items():
        for i in range(len(keys) // size):
            yield keys[i * size : (i + 1) * size], values[i * length : (i + 1) * length]


def _counts(datapath: Datapath) -> tuple[list[tuple[int, ...]], ...]:
    """Their packets and bytes, and when the last came."""
    folds = (sum, sum, max)
    return tuple(datapath.maps[name].folded(folds) for name in _COUNTERS)


def _only(moved: list[int]) -> int | None:
    assert len(moved) < 2, f"one packet moved several counters: {moved}"
    return moved[0] if moved else None


def _jiffies() -> int:
    """Now, on the clock of `seen`."""
    with TIMER_LIST.open() as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("jiffies:"))


def _address(family: int, high: int, low: int) -> Address:
    return IPv4Address(low) if family == 4 else IPv6Address(high << 64 | low)
