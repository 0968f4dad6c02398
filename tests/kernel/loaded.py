# SPDX-License-Identifier: Apache-2.0
"""A datapath under test, a policy for it, and packets at it: of two nodes, without an interface."""

from base64 import b64encode
from ipaddress import IPv4Address, ip_interface, ip_network
from struct import pack

from krait.common.reason import Reason
from krait.kernel.bpf.testrun import ethernet, run
from krait.kernel.datapath import DEFAULT_FLOWS, Datapath
from krait.kernel.hook import Hook
from krait.policy.capacity import SMALLEST
from krait.policy.compile import Compiled, compile_policy
from krait.policy.document import load
from krait.policy.image import EMPTY, Image, draw, need
from krait.policy.numbering import Numbers
from krait.policy.view import Interface, Peer, resolve

PASS, DROP = -1, 2
LOOPBACK = 1
HERE, PEER, OTHER = "10.8.0.1", "10.8.0.2", "10.8.0.3"


def key(number: int) -> bytes:
    return bytes(31) + bytes((number,))


def compiled(
    rules: str,
    peer_tags: str = "web",
    known: Numbers | None = None,
    peer: str = PEER,
    limits: str = "{}",
) -> Compiled:
    """This node is db at .1; the peer has the tags; rules are YAML list items."""
    text = f"""
mesh: {{cidr: 10.8.0.0/16}}
nodes:
  here: {{public_key: {b64encode(key(1)).decode()}, tags: [db]}}
  there: {{public_key: {b64encode(key(2)).decode()}, tags: [{peer_tags}]}}
  spare1: {{public_key: {b64encode(key(3)).decode()}, tags: [web]}}
  spare2: {{public_key: {b64encode(key(4)).decode()}, tags: [app]}}
policy:
  limits: {limits}
  rules: [{rules}]
"""
    document = load(text.encode(), "test.yaml")
    allowed = tuple(map(ip_network, peer.split()))
    interface = Interface(key(1), (ip_interface(f"{HERE}/16"),), (Peer(key(2), allowed),))
    return compile_policy(document, resolve(document, interface), known)


def packet(
    source: str, destination: str, protocol: int = 17, sport: int = 40000, dport: int = 53
) -> bytes:
    header = pack(">BBHHHBBH", 0x45, 0, 28, 1, 0, 64, protocol, 0)
    addresses = IPv4Address(source).packed + IPv4Address(destination).packed
    return ethernet(header + addresses + pack(">HHHH", sport, dport, 8, 0))


class Loaded:
    """A datapath under test, and what its slots hold."""

    def __init__(self, policy: Compiled, *, flows: int = DEFAULT_FLOWS) -> None:
        capacity = SMALLEST.grown(need(policy))
        self.datapath = Datapath.load(capacity, flows=flows, test_ifindex=LOOPBACK)
        self.images: dict[int, Image] = {0: EMPTY, 1: EMPTY}

    def put(self, policy: Compiled) -> None:
        in_force = self.datapath.in_force
        held = self.images[in_force.slot].lists
        self.write(in_force.idle, draw(policy, self.datapath.capacity, held))
        self.datapath.commit(in_force.idle, in_force.revision + 1)
        self.datapath.wait_for_readers()

    def write(self, slot: int, image: Image) -> None:
        held = self.images[slot ^ 1].lists
        self.datapath.write(slot, image, known=self.images[slot], held=held)
        self.images[slot] = image

    def judge(self, frame: bytes, hook: Hook = Hook.INGRESS, *, came_in: bool = False) -> Reason:
        before = self.datapath.drops()
        fd = self.datapath.programs[hook].fd
        verdict = run(fd, frame, ingress_ifindex=LOOPBACK if came_in else 0).verdict
        after = self.datapath.drops()
        moved = [reason for reason in after if before.get(reason) != after[reason]]
        assert (verdict, len(moved)) in ((PASS, 0), (DROP, 1))
        return moved[0] if moved else Reason.PASS
