# SPDX-License-Identifier: Apache-2.0
"""A WireGuard mesh of machines, made with public tools (`ip`, `wg`, wireguard-go), not with Krait.

The machines meet on an underlay, a bridge in a namespace of its own: 192.0.2.0/24 and
2001:db8::/64, interface eth0. On it lies any graph of WireGuard peers that `MeshNode`s describe.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_interface, ip_network
from typing import Self

from krait.lab import keeper
from krait.lab import machine as verbs
from krait.lab.cable import End, address_added, wire
from krait.lab.machine import TIMEOUT_S, CommandFailed, Machine, Report, silent
from krait.lab.namespace import NamespaceMachine, require
from krait.lab.traffic import Protocol, Target, ask
from krait.lab.tunnel import Key, make_interface

LISTEN_PORT = 51820
_MESH = ("10.8.0.0/24", "fd7a:6b72::/64")
_UNDERLAY = ("192.0.2.0/24", "2001:db8::/64")


@dataclass(frozen=True, slots=True)
class MeshPeer:
    """A peer as one node sees it: whose key, and the prefixes its packets may carry."""

    name: str
    allowed_ips: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MeshNode:
    """A machine with a WireGuard interface; `addresses` carry the prefix length of the mesh."""

    name: str
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    peers: tuple[MeshPeer, ...]
    interface: str = "wg0"
    forwards: bool = False

    @property
    def hosts(self) -> tuple[str, ...]:
        """Its mesh addresses without prefix length."""
        return tuple(str(address.ip) for address in self.addresses)


def full_mesh(*names: str) -> tuple[MeshNode, ...]:
    """Every node a peer of every other; the n-th name has host number n in both families."""
    numbers = {name: number for number, name in enumerate(names, 1)}
    return tuple(
        MeshNode(
            name,
            _addresses(_MESH, number),
            tuple(MeshPeer(peer, _full_length(n)) for peer, n in numbers.items() if peer != name),
        )
        for name, number in numbers.items()
    )


def hub_and_spokes(hub: str, *spokes: str) -> tuple[MeshNode, ...]:
    """Spokes that reach each other through the hub only; host numbers from 1, the hub first."""
    members = tuple(MeshPeer(name, _full_length(n)) for n, name in enumerate(spokes, 2))
    return (
        MeshNode(hub, _addresses(_MESH, 1), members, forwards=True),
        *(
            MeshNode(name, _addresses(_MESH, n), (MeshPeer(hub, _MESH),))
            for n, name in enumerate(spokes, 2)
        ),
    )


class Lab:
    """Machines on an underlay, and the mesh that `nodes` describe: a context manager.

    Entering returns when every node's peers answer pings over both families; leaving ends it all.
    `report` gets a line for each step. Raises SystemRefused.
    """

    def __init__(
        self,
        nodes: Sequence[MeshNode] = (),
        *,
        make: Callable[[str], NamespaceMachine] = NamespaceMachine,
        report: Report = silent,
    ) -> None:
        """`make` says what a machine is made of."""
        self.nodes = {node.name: node for node in nodes}
        self.machines: dict[str, NamespaceMachine] = {}
        self._make = make
        self._report = report
        self._switch = NamespaceMachine("underlay")
        self._underlay: dict[str, int] = {}  # host number, for each machine on the underlay
        self._keys: dict[str, Key] = {}
        self._userspace = False
        self._kept = False

    @property
    def userspace(self) -> bool:
        """Whether WireGuard is wireguard-go, for want of the kernel's: slower, so shown."""
        return self._userspace

    def public_key(self, name: str) -> str:
        """The node's WireGuard public key, in base64."""
        return self._keys[name].public

    def __getitem__(self, name: str) -> NamespaceMachine:
        return self.machines[name]

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def keep(self) -> int:
        """Let the machines outlive this process; the PID of the one whose end is now theirs."""
        pid = keeper.keep([machine.lifeline for machine in self._everyone])
        self._kept = True
        return pid

    def close(self) -> None:
        """End every machine, unless they are kept; may be repeated."""
        if self._kept:
            return
        everyone = self._everyone
        for machine in everyone:
            machine.let_go()
        for machine in everyone:
            machine.crash()

    def add(self, name: str, *, on_underlay: bool = False) -> NamespaceMachine:
        """One more machine, started: without a cable, or plugged into the underlay."""
        machine = self.machines[name] = self._make(name)
        machine.start()
        if on_underlay:
            self._underlay[name] = len(self._underlay) + 1
            self._plug_in(machine)
        return machine

    def wire(self, a: End, b: End) -> None:
        """Lay a cable between two machines."""
        wire(a, b)

    def restart(self, name: str) -> NamespaceMachine:
        """Crash a machine and boot it anew, with its cable to the underlay and its WireGuard."""
        machine = self.machines[name]
        machine.crash()
        machine.start()
        if name in self._underlay:
            self._plug_in(machine)
        if name in self.nodes:
            node = self.nodes[name]
            self._make_interface(node)
            self._configure(node)
            # Its peers would talk into the sessions of its former life for another 15 s.
            self._greet((node, peer.name) for peer in node.peers)
        return machine

    def subtest(self, name: str) -> AbstractContextManager[None]:
        """Name a step of the scenario."""
        return verbs.subtest(name, self._report)

    def wait_until_connected(self, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until every node gets an echo from every address of every peer of its own."""
        order = list(self.nodes)
        every = [(node, peer.name) for node in self.nodes.values() for peer in node.peers]
        # Two ends that greet each other at the same moment lose both handshakes, and WireGuard
        # tries again after 5 s only. So each pair first greets from one side.
        one_way = [(node, to) for node, to in every if order.index(node.name) < order.index(to)]
        self._greet(one_way, timeout_s)
        self._greet(every, timeout_s)

    @property
    def _everyone(self) -> list[NamespaceMachine]:
        return [*self.machines.values(), self._switch]

    def _greet(self, pairs: Iterable[tuple[MeshNode, str]], timeout_s: float = TIMEOUT_S) -> None:
        questions: dict[Machine, list[Target]] = {}
        for node, to in pairs:
            targets = [Target(Protocol.ICMP, host) for host in self.nodes[to].hosts]
            questions.setdefault(self[node.name], []).extend(targets)
        answers = [answer for some in ask(questions, timeout_s).values() for answer in some]
        if mute := [answer.target.address for answer in answers if not answer.ok]:
            raise CommandFailed(f"no answer in {timeout_s:g} s from {', '.join(mute)}")

    def _build(self) -> None:
        require("wg")
        self._switch.start()
        self._switch.succeed(
            "ip link add underlay type bridge stp_state 0 mcast_snooping 0"
            " && ip link set underlay up"
        )
        for node in self.nodes.values():
            self.add(node.name, on_underlay=True)
            self._keys[node.name] = Key.generate(self._switch)
        self._report(f"{len(self.nodes)} machines on a bridge")
        for node in self.nodes.values():
            self._make_interface(node)
        for node in self.nodes.values():
            self._configure(node)
        if self.nodes:
            kind = "wireguard-go (userspace)" if self.userspace else "the kernel's WireGuard"
            self._report(f"mesh configured: {kind}")
            self.wait_until_connected()
            self._report("every peer answers over IPv4 and IPv6")

    def _plug_in(self, machine: NamespaceMachine) -> None:
        number = self._underlay[machine.name]
        port = f"port{number}"
        addresses = tuple(str(address) for address in _addresses(_UNDERLAY, number))
        wire(End(machine, machine.uplink, addresses), End(self._switch, port))
        self._switch.succeed(["ip", "link", "set", port, "master", "underlay"])

    def _make_interface(self, node: MeshNode) -> None:
        self._userspace |= not make_interface(self[node.name], node.interface)

    def _configure(self, node: MeshNode) -> None:
        machine = self[node.name]
        configuration = "\n".join(self._configuration(node))
        machine.succeed(["wg", "setconf", node.interface, "/dev/stdin"], stdin=configuration)
        machine.succeed(["ip", "-batch", "-"], stdin="\n".join([*_ip_commands(node), ""]))
        if node.forwards:
            machine.succeed(
                "echo 1 >/proc/sys/net/ipv4/ip_forward"
                " && echo 1 >/proc/sys/net/ipv6/conf/all/forwarding"
            )

    def _configuration(self, node: MeshNode) -> Iterable[str]:
        yield "[Interface]"
        yield f"PrivateKey = {self._keys[node.name].private}"
        yield f"ListenPort = {LISTEN_PORT}"
        for peer in node.peers:
            underlay, _ = _addresses(_UNDERLAY, self._underlay[peer.name])
            yield "[Peer]"
            yield f"PublicKey = {self.public_key(peer.name)}"
            yield f"AllowedIPs = {', '.join(peer.allowed_ips)}"
            yield f"Endpoint = {underlay.ip}:{LISTEN_PORT}"


def _ip_commands(node: MeshNode) -> Iterable[str]:
    device = f"dev {node.interface}"
    yield f"link set {device} up"
    yield from (address_added(str(address), node.interface) for address in node.addresses)
    connected = [address.network for address in node.addresses]
    for peer in node.peers:
        for prefix in map(ip_network, peer.allowed_ips):
            if not any(n.version == prefix.version and prefix.subnet_of(n) for n in connected):  # type: ignore[arg-type]
                yield f"route replace {prefix} {device}"


def _addresses(networks: Iterable[str], number: int) -> tuple[IPv4Interface | IPv6Interface, ...]:
    parsed = map(ip_network, networks)
    return tuple(ip_interface(f"{network[number]}/{network.prefixlen}") for network in parsed)


def _full_length(number: int) -> tuple[str, ...]:
    return tuple(str(ip_network(address.ip)) for address in _addresses(_MESH, number))
