# SPDX-License-Identifier: Apache-2.0
"""What a flow is and where its two ends are, in words."""

from krait.policy import explain, ports
from krait.policy.flow import FlowTuple
from krait.policy.model import ECHO_REQUEST


def protocol(opener: FlowTuple) -> str:
    """As a document writes it: `tcp`, `icmp4`, `ip/200`."""
    return explain.describe(ports.whole(opener.protocol))


def ends(opener: FlowTuple) -> tuple[str, str]:
    """Both addresses, with their ports; of an echo without its identifier, which is none."""
    has_ports = opener.protocol not in ECHO_REQUEST
    source, destination = (
        _end(str(address), address.version, port if has_ports else 0)
        for address, port in (opener.source, opener.destination)
    )
    return source, destination


def _end(address: str, version: int, port: int) -> str:
    shown = f"[{address}]" if version == 6 and port else address
    return f"{shown}:{port}" if port else shown
