# SPDX-License-Identifier: Apache-2.0
"""Random documents that `krait up` can make a device of: hubs, spokes with keys and without."""

from collections.abc import Mapping

from hypothesis import strategies as st

from krait.policy.document import load
from krait.policy.model import Document
from tests.documents import key

_ENDPOINTS = (None, "'192.0.2.1:51820'", "'[2001:db8::1]:1'", "'vpn.example.org:443'")
_PRESHARED = (None, "/etc/krait/mesh.psk", "'/etc/krait/psk/{pair}.key'")


@st.composite
def meshes(draw: st.DrawFn) -> Document:
    """Of up to seven nodes with one address or two, some with a subnet, some behind a hub."""
    hubs = draw(st.integers(0, 2))
    lines = ""
    for number in range(1, hubs + draw(st.integers(1, 5)) + 1):
        is_hub = number <= hubs
        via = draw(st.none() | st.integers(1, hubs)) if hubs and not is_hub else None
        subnets = (None, f"10.{number}.0.0/16", f"10.8.1.{number}/32", f"'fd01:{number}::/64'")
        fields = {
            "public_key": key(number) if via is None or draw(st.booleans()) else None,
            "address": f"10.8.0.{number}",
            "routes": draw(st.sampled_from(subnets)),
            "endpoint": draw(st.sampled_from(_ENDPOINTS)),
            "transit": "true" if is_hub else None,
            "via": f"n{via}" if via else None,
        }
        if draw(st.booleans()):
            fields["address"] = f"[10.8.0.{number}, 'fd7a::{number}']"
        lines += f"  n{number}: {{{_flow(fields)}}}\n"
    mesh = {
        "cidr": "[10.8.0.0/23, 'fd7a::/64']",
        "preshared_key_file": draw(st.sampled_from(_PRESHARED)),
    }
    text = f"interface: wg0\nmesh: {{{_flow(mesh)}}}\nnodes:\n{lines}policy: {{}}\n"
    return load(text.encode(), "random.yaml")


def _flow(fields: Mapping[str, str | None]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in fields.items() if value)
