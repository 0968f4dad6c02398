# SPDX-License-Identifier: Apache-2.0
"""Odd and malformed packets as hping3 makes them, which knows nothing of our idea of a packet: each
comes out behind Bob's filter or drops for its reason, and no other counter moves.

hping3 makes IPv4 alone. It sends by the stack, which mends the lengths and the checksum of its IP
headers; packets that lie about these are ours (hostile.py).
"""

import shlex
import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import count
from types import MappingProxyType

import pytest

from krait.common.reason import Reason
from krait.lab.mesh import Lab
from tests.netns.scenarios.conftest import PACKETS, Mesh
from tests.netns.scenarios.test_hostile_packets import NODES, hush, peers
from tests.patience import wait_until
from tests.requirements import KINDS, need_tools
from tests.strategies.packets import SYN, Extension, ip6, tcp

need_tools("hping3")

RULES = [
    "name: web, from: a, to: b, ports: [tcp/80, udp/80, icmp/echo, ip/253]",
    'name: no-ssh, from: "*", to: b, ports: tcp/22, action: deny',
]
EACH = 3
"""Packets that hping3 sends of a case, before it cuts them into fragments."""
SENT = f"{EACH} packets transmitted"
TCP, SPORT = 6, 60000
ROUTED = Reason.SOURCE_ROUTE.label


@dataclass(frozen=True, slots=True)
class Case:
    """Options of hping3, how many packets come out behind the filter for each that it makes, and by
    how much each of Bob's counters moves for it.
    """

    options: str
    moves: MappingProxyType[str, int]
    comes_out: int = 0
    sender: str = "alice"
    to: str = "bob"

    @property
    def is_answered(self) -> bool:
        return self.moves.get("rule web", 0) > self.comes_out


def drop(reason: str, options: str, packets: int = 1, **others: int) -> Case:
    return Case(options, MappingProxyType({reason: packets, **others}))


def default(options: str, sender: str = "alice", **others: int) -> Case:
    return Case(
        options, MappingProxyType({"denied": 1, "rule default": 1, **others}), sender=sender
    )


def by_rule(options: str, sender: str = "alice", **others: int) -> Case:
    return Case(options, MappingProxyType({"denied": 1, "rule no-ssh": 1, **others}), sender=sender)


def passes(options: str, packets: int = 1, answers: int = 0) -> Case:
    """In so many packets, which Bob's kernel answers with so many, under the same rule."""
    return Case(options, MappingProxyType({"rule web": packets + answers}), packets)


def answered(options: str, packets: int = 1) -> Case:
    """By a reset, for nothing listens on TCP port 80, an echo reply or a protocol unreachable."""
    return passes(options, packets, answers=1)


QUOTED_UDP = "--icmp-ipsrc {bob} --icmp-ipdst {alice} --icmp-ipproto 17 --icmp-srcport 80"
CASES: dict[str, Case] = {
    # Flags. An open is a SYN without ACK and RST, whatever else it has.
    "a SYN": answered("-S -p 80"),
    "a SYN to a port that is not open": default("-S -p 81"),
    "a SYN against a rule": by_rule("-S -p 22"),
    "a SYN to port 0": default("-S -p 0"),
    "a SYN from port 0": answered("-S -p 80 -s 0 -k"),
    "SYN and FIN": answered("-S -F -p 80"),
    "SYN and FIN to a port that is not open": default("-S -F -p 81"),
    "SYN, PSH and URG": answered("-S -P -U -p 80"),
    "a SYN with both unused flags": answered("-S -X -Y -p 80"),
    "an ACK, which may pick a flow up": answered("-A -p 80"),
    "an ACK to a port that is not open": default("-A -p 81"),
    "an ACK from a port that is open": by_rule("-A -s 80 -k -p 22"),
    "no flags": drop("no-flow", "-p 80"),
    "xmas": drop("no-flow", "-X -p 80"),
    "ymas": drop("no-flow", "-Y -p 80"),
    "FIN, PSH and URG": drop("no-flow", "-F -P -U -p 80"),
    "all flags": drop("no-flow", "-F -S -R -P -A -U -X -Y -p 80"),
    "SYN and RST": drop("no-flow", "-S -R -p 80"),
    "SYN and ACK": drop("no-flow", "-S -A -p 80"),
    "a reset": drop("no-flow", "-R -p 80"),
    # What is wrong behind the ports and flags is for the kernel to find, which answers none; but
    # WireGuard's module vouches for checksums, so that a bad one is as good as any there.
    "a TCP header of no length": passes("-S -O 0 -p 80"),
    "a TCP header beyond the packet": passes("-S -O 15 -p 80"),
    "a TCP header beyond the packet, against a rule": by_rule("-S -O 15 -p 22"),
    "a bad checksum of TCP, against a rule": by_rule("-S -b -p 22"),
    "a bad checksum of UDP": passes("-2 -b -p 80"),
    "options of TCP": answered("-S --tcp-mss 1 --tcp-timestamp -p 80"),
    # UDP.
    "a datagram of nothing": passes("-2 -p 80"),
    "a datagram to a port that is not open": default("-2 -p 81"),
    "a datagram to port 0": default("-2 -p 0 -s 0 -k"),
    # Fragments: the first decides, if it has the ports.
    "TCP in fragments of 16 bytes": answered("-S -p 80 -d 100 -f -m 16", packets=8),
    "TCP in fragments of 8 bytes": drop("malformed", "-S -p 80 -d 100 -f -m 8", fragment=14),
    "TCP in fragments, against a rule": by_rule("-S -p 22 -d 100 -f -m 24", fragment=4),
    "UDP in fragments of 8 bytes": passes("-2 -p 80 -d 100 -f -m 8", packets=14),
    "UDP in fragments, to a port that is not open": default("-2 -p 81 -d 24 -f -m 16", fragment=1),
    "a ping in fragments of 8 bytes": answered("-1 -d 20 -f -m 8", packets=4),
    "a fragment without a first": drop("fragment", "-S -p 80 -g 8"),
    "a fragment without a first, of which more come": drop("fragment", "-S -p 80 -d 4 -x -g 64"),
    "a fragment at the end of 64 KiB": drop("fragment", "-0 -H 17 -d 8 -g 65512"),
    "a fragment beyond 64 KiB": drop("malformed", "-S -p 80 -g 65528"),
    "a fragment of nothing": drop("malformed", "-0 -H 17 -g 8"),
    "a first one of an odd length": drop("malformed", "-S -p 80 -d 3 -x"),
    "a first one alone": passes("-S -p 80 -d 4 -x"),
    "a first one alone, against a rule": by_rule("-S -p 22 -d 4 -x"),
    # Cut short, and of protocols that Krait does not read.
    "nothing behind the header": drop("malformed", "-0 -H 6"),
    "13 bytes of TCP": drop("malformed", "-0 -H 6 -d 13"),
    "7 bytes of UDP": drop("malformed", "-0 -H 17 -d 7"),
    "7 bytes of SCTP": drop("malformed", "-0 -H 132 -d 7"),
    "7 bytes of ICMP": drop("malformed", "-0 -H 1 -d 7"),
    "ICMPv6": drop("malformed", "-0 -H 58 -d 8"),
    "a protocol that is open": answered("-0 -H 253 -d 8"),
    "the one beside it": default("-0 -H 254 -d 8"),
    "GRE": default("-0 -H 47 -d 20"),
    "IP in IP": default("-0 -H 4 -d 40"),
    "protocol 0": default("-0 -H 0 -d 20"),
    "protocol 255": default("-0 -H 255 -d 8"),
    # ICMP.
    "a ping": answered("-1"),
    "a ping of an odd code": answered("-1 -K 200"),
    "a ping's answer": drop("no-flow", "-1 -C 0"),
    "a question for the time": default("-1 -C 13"),
    "a question for the netmask": default("-1 -C 17"),
    "type 42": default("-1 --force-icmp -C 42"),
    "type 255": default("-1 --force-icmp -C 255"),
    "a redirect": drop("redirect", "-1 -C 5 -K 1 --icmp-gw {alice} " + QUOTED_UDP),
    "a router's advertisement": drop("redirect", "-1 --force-icmp -C 9"),
    "a router's solicitation": drop("redirect", "-1 --force-icmp -C 10"),
    "an error about nothing": drop("no-flow", "-1 -C 3 -K 3 --icmp-dstport 7 " + QUOTED_UDP),
    "a time exceeded about nothing": drop("no-flow", "-1 -C 11 --icmp-dstport 7 " + QUOTED_UDP),
    "a source quench about nothing": drop(
        "no-flow", "-1 --force-icmp -C 4 --icmp-dstport 7 " + QUOTED_UDP
    ),
    "an error about what nobody sent": drop("bad-error", "-1 -C 3 -K 1"),
    "an error about Carol's packet": drop(
        "bad-error", "-1 -C 3 --icmp-ipsrc {carol} --icmp-ipdst {alice} --icmp-ipproto 17"
    ),
    "an error about what went to Carol": drop(
        "bad-error", "-1 -C 3 --icmp-ipsrc {bob} --icmp-ipdst {carol} --icmp-ipproto 17"
    ),
    "an error about IPv6": drop("bad-error", "-1 -C 3 --icmp-ipver 6 " + QUOTED_UDP),
    "an error about 16 bytes": drop("bad-error", "-1 -C 3 --icmp-iphlen 4 " + QUOTED_UDP),
    "an error about a header that it does not hold": drop(
        "bad-error", "-1 -C 3 --icmp-iphlen 15 " + QUOTED_UDP
    ),
    "an error in fragments": drop("bad-error", "-1 -C 3 -d 20 -f -m 16", fragment=3),
    # The rest of the IP header.
    "no hops to go": answered("-S -t 0 -p 80"),  # it has arrived
    "every bit of the type of service": answered("-S -o ff -y -p 80"),
    "a route to be recorded": answered("-S -G -p 80"),
    "a route to be recorded, against a rule": by_rule("-S -G -p 22"),
    "a source route, which the kernel refuses": passes("-S --lsrr {carol} -p 80"),
    "a source route against a rule": by_rule("-S --ssrr {carol} -p 22"),
    # Who is it?
    "Carol's address, which WireGuard drops": Case("-S -a {carol} -p 80", MappingProxyType({})),
    "Bob's own address": drop("wrong-side", "-S -a {bob} -p 80"),
    "an address of nobody": drop("no-identity", "-S -a 10.8.0.9 -p 80"),
    "an address of elsewhere": drop("no-identity", "-2 -a 198.51.100.9 -p 80"),
    "a multicast address": drop("malformed", "-S -a 224.0.0.1 -p 80"),
    "the broadcast address": drop("malformed", "-S -a 255.255.255.255 -p 80"),
    "127.0.0.1": drop("no-identity", "-S -a 127.0.0.1 -p 80"),
    "a link-local address": drop("link-local", "-S -a 169.254.1.1 -p 80"),
    "to Carol, through Bob": Case("-S -p 80", MappingProxyType({"not-transit": 1}), to="carol"),
    # Carol, who may open nothing.
    "a SYN of Carol's": default("-S -p 80", "carol"),
    "a SYN of Carol's against a rule": by_rule("-S -p 22", "carol"),
    "an ACK of Carol's": default("-A -p 80", "carol"),
    "a FIN of Carol's": default("-F -p 80", "carol"),
    "a datagram of Carol's": default("-2 -p 80", "carol"),
    "a ping of Carol's": default("-1", "carol"),
    "fragments of Carol's": default("-2 -p 80 -d 8 -f -m 8", "carol", fragment=1),
}  # fmt: skip


Result = tuple[list[bytes], Counter[str]]
"""The packets that came out behind the filter, and by how much each counter moved."""


class Range:
    """Bob, who runs Krait, and is shot at."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh, self.warden = mesh, mesh.warden("bob")
        self.watch = mesh["bob"].spawn([*PACKETS, "watch", "wg0", "80"])
        self.watch.wait_for_output("ready")
        self.hosts = {name: mesh.hosts[name][0] for name in NODES}
        self._shots, self._turns = count(1), count(1)

    def shoot(self, case: Case) -> Result:
        """Have hping3 make what a case says."""
        before, seen = self.warden.counted(hushed=True), len(self.watch.stdout)
        hping = self.mesh[case.sender].spawn(self._command(case))
        enough = times(case.moves).total()

        def is_over() -> bool:  # without answers it waits for them a second
            moved = self.warden.counted(hushed=True) - before
            return not hping.is_running() or 0 < enough <= moved.total()

        wait_until(is_over)
        hping.kill(signal.SIGINT)  # upon which it says what it did
        hping.wait()
        assert SENT in hping.stdout + hping.stderr
        return self._result(before, seen, case.sender)

    def volley(self, cases: Sequence[Case]) -> Result:
        """The same of many at once, of one sender."""
        before, seen = self.warden.counted(hushed=True), len(self.watch.stdout)
        commands = [f"{shlex.join(self._command(case))} 2>&1" for case in cases]
        said = self.mesh[cases[0].sender].succeed(" & ".join([*commands, "wait"]))
        assert said.count(SENT) == len(cases)
        return self._result(before, seen, cases[0].sender)

    def _command(self, case: Case) -> list[str]:
        shot = next(self._shots)  # what hping3 draws by chance, another may have drawn before
        options = f"-N {shot} -s {20_000 + 10 * shot} {case.options}".format(**self.hosts)
        fixed = ["-n", "-q", "-I", "wg0", "-c", str(EACH), "-i", "u1000"]
        return ["hping3", *fixed, *options.split(), self.hosts[case.to]]

    def _result(self, before: Counter[str], seen: int, sender: str) -> Result:
        """Once all that `sender` has sent is judged."""
        after = Counter({"rule web": 1})
        if sender != "alice":
            # It comes after all that is his, and no packet of IPv4 drops for its reason.
            hers, his = (self.mesh.hosts[name][1] for name in (sender, "bob"))
            body, route = tcp(SPORT, 80, SYN), Extension.routing(1)
            after[ROUTED] = before[ROUTED] + 1
            routed = ip6(hers, his, TCP, body, extensions=[route])
            self.mesh[sender].succeed([*PACKETS, "frames", "wg0", routed.hex()])
            wait_until(lambda: self.warden.counted()[ROUTED] == after[ROUTED])
            after[ROUTED] = 1
        word = f"turn {next(self._turns)}."
        told = ["bash", "-c", 'printf %s "$0" >"/dev/udp/$1/80"', word, self.hosts["bob"]]
        self.mesh["alice"].succeed(told)
        self.watch.wait_for_output(f"heard {word.encode().hex()}")
        lines = self.watch.stdout[seen:].splitlines()
        frames = [bytes.fromhex(line[3:]) for line in lines if line.startswith("in ")]
        moved = self.warden.counted(hushed=True) - before - after
        return [frame for frame in frames if word.encode() not in frame], moved


@pytest.fixture(scope="module")
def shot_at() -> Iterator[Range]:
    with Lab(peers()) as lab:
        hush(lab)
        yield on_guard(Mesh(lab, KINDS[0]))


def on_guard(mesh: Mesh) -> Range:
    mesh.enforce(mesh.document(NODES, RULES), "bob")
    # Else Bob's kernel answers some of what it does not know, and some not.
    mesh["bob"].succeed("echo 0 >/proc/sys/net/ipv4/icmp_ratelimit")
    return Range(mesh)


def times(moves: Mapping[str, int]) -> Counter[str]:
    return Counter({name: EACH * each for name, each in moves.items()})


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_hping3_makes_comes_out_or_drops_for_its_reason(shot_at: Range, case: Case) -> None:
    came_out, moved = shot_at.shoot(case)
    assert moved == times(case.moves)
    assert len(came_out) == EACH * case.comes_out
    assert all(frame[12:16] == IPv4Address(shot_at.hosts["alice"]).packed for frame in came_out)


@pytest.mark.parametrize("sender", ["alice", "carol"])
def test_what_hping3_makes_all_at_once_comes_out_or_drops(shot_at: Range, sender: str) -> None:
    """But what is answered: to an hping3 beside it the answer is one to its own, and it ends."""
    cases = [case for case in CASES.values() if case.sender == sender and not case.is_answered]
    came_out, moved = shot_at.volley(cases)
    assert moved == sum((times(case.moves) for case in cases), Counter())
    assert len(came_out) == EACH * sum(case.comes_out for case in cases)


def test_what_hping3_would_write_over_what_was_judged_drops(shot_at: Range) -> None:
    """A SYN to port 80, and of the same datagram what would make port 22 of that."""
    first = passes("-S -p 80 -d 4 -x -N 7777")
    over = drop("fragment-overlap", "-S -p 22 -d 4 -x -N 7777 -g 8")
    other = by_rule("-S -p 22 -d 4 -x -N 7777")  # another first one is judged by what it says
    for case in (first, over, other):
        came_out, moved = shot_at.shoot(case)
        assert moved == times(case.moves)
        assert len(came_out) == EACH * case.comes_out


def test_an_error_of_hping3s_passes_about_a_live_flow(shot_at: Range) -> None:
    error = f"-1 -C 3 -K 3 {QUOTED_UDP} --icmp-dstport 19999"
    for case in (drop("no-flow", error), passes("-2 -s 19999 -k -p 80"), passes(error)):
        came_out, moved = shot_at.shoot(case)
        assert moved == times(case.moves)
        assert len(came_out) == EACH * case.comes_out
