# SPDX-License-Identifier: Apache-2.0
"""What nmap finds out about Bob is what the policy says: asked of the reference, port by port."""

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree as Xml

import pytest

from krait.lab.mesh import Lab, full_mesh
from krait.policy.document import load
from krait.policy.evaluate import decide
from krait.policy.identities import named_nodes, node_labels
from tests.netns.scenarios.conftest import Mesh
from tests.patience import PATIENCE_S
from tests.requirements import KINDS, need_tools

need_tools("nmap")

NODES = {"alice": "tags: a", "bob": "tags: b", "carol": "tags: c"}
RULES = [
    "name: web, from: a, to: b, ports: [tcp/80, tcp/443, tcp/8000-8003, udp/53, udp/123-124]",
    'name: not-that, from: "*", to: b, ports: [tcp/8002, tcp/22], action: deny',
]
LISTENING = (22, 53, 80, 8000, 8002)  # on TCP and on UDP
TCP_PORTS, UDP_PORTS = (22, 53, 80, 81, 443, *range(7999, 8005)), (53, 80, 123, 161)
TCP, UDP = 6, 17
PATIENT = ["--max-retries", "2", "--min-rtt-timeout", "400ms", "--max-rtt-timeout", "1s"]


@dataclass(frozen=True, slots=True)
class Scan:
    """A kind of scan, and what nmap is to say of a port: by whether the policy lets it be opened,
    and whether something listens there.
    """

    option: str
    shut: str
    closed: str
    open: str
    protocol: int = TCP

    @property
    def ports(self) -> tuple[int, ...]:
        return TCP_PORTS if self.protocol == TCP else UDP_PORTS

    def expected(self, allowed: set[int]) -> dict[int, str]:
        answers = {port: self.open if port in LISTENING else self.closed for port in allowed}
        return dict.fromkeys(self.ports, self.shut) | answers


UNKNOWN = "open|filtered"
OPENS = (
    Scan("-sT", shut="filtered", closed="closed", open="open"),
    Scan("-sS", shut="filtered", closed="closed", open="open"),
    Scan("-sU", shut=UNKNOWN, closed="closed", open="open", protocol=UDP),
    Scan("-sA", shut="filtered", closed="unfiltered", open="unfiltered"),
)
STRAYS = (  # a stateless filter lets them through, and so gives its closed ports away
    Scan("-sF", shut=UNKNOWN, closed=UNKNOWN, open=UNKNOWN),
    Scan("-sN", shut=UNKNOWN, closed=UNKNOWN, open=UNKNOWN),
    Scan("-sX", shut=UNKNOWN, closed=UNKNOWN, open=UNKNOWN),
)


@pytest.fixture(scope="module")
def scanned() -> Iterator[Mesh]:
    with Lab(full_mesh(*NODES)) as lab:
        yield on_guard(Mesh(lab, KINDS[0]))


def on_guard(mesh: Mesh) -> Mesh:
    """Bob alone runs Krait: Alice may open some ports of his, and Carol none."""
    mesh.serve("bob", *LISTENING)
    mesh.enforce(mesh.document(NODES, RULES), "bob")
    return mesh


def allowed(mesh: Mesh, source: str, scan: Scan) -> set[int]:
    """By the reference evaluator."""
    document = load(mesh.document(NODES, RULES).encode(), "scanned.yaml")
    named = named_nodes(document)
    labels = {node.name: node_labels(node, named) for node in document.nodes}

    def may_open(port: int) -> bool:
        ends = labels[source], labels["bob"]
        return decide(document.policy, *ends, scan.protocol, port).allows

    return set(filter(may_open, scan.ports))


def found(output: str) -> dict[int, str]:
    """The state of each port that was asked about."""
    ports = Xml.fromstring(output).iter("port")  # noqa: S314 - nmap wrote it just now
    return {int(port.attrib["portid"]): port.find("state").attrib["state"] for port in ports}  # type: ignore[union-attr]


@pytest.mark.parametrize("scans", [OPENS, STRAYS], ids=["opens", "strays"])
def test_scans_find_what_the_policy_lets_be_found(scanned: Mesh, scans: tuple[Scan, ...]) -> None:
    """By two peers, over both families, all at once."""
    mesh, warden = scanned, scanned.warden("bob")
    before = warden.counted()
    running = [
        (name, scan, mesh[name].spawn(command(scan, address)))
        for name in ("alice", "carol")
        for scan in scans
        for address in mesh.hosts["bob"]
    ]
    for name, scan, process in running:
        assert process.wait(PATIENCE_S) == 0, process.stderr
        assert found(process.stdout) == scan.expected(allowed(mesh, name, scan))
    moved = warden.counted() - before
    assert moved["denied"] == moved["rule default"] + moved["rule not-that"]
    assert moved["rule not-that"] >= 2 * 2 * 2  # peers, families, ports
    if scans is not STRAYS:
        assert moved.keys() == {"denied", "rule web", "rule default", "rule not-that"}
    else:
        # Alice has a flow table to be found in; of Carol no packet gets that far.
        assert moved.keys() == {"denied", "no-flow", "rule default", "rule not-that"}
        assert moved["no-flow"] >= len(scans) * 2 * len(TCP_PORTS)


def command(scan: Scan, address: str) -> list[str]:
    family = ["-6"] if ":" in address else []
    ports = ",".join(map(str, scan.ports))
    return ["nmap", "-n", "-Pn", "-oX", "-", *family, scan.option, *PATIENT, "-p", ports, address]
