# SPDX-License-Identifier: Apache-2.0
"""The other interfaces of a machine: what is behind it, and what reaches its addresses as well."""

import socket

from krait.kernel.link import Link, observe_link

LOOPBACK = 1
"""The ifindex of `lo` in every network namespace (include/net/net_namespace.h)."""


def other_links(ifindex: int) -> tuple[Link, ...]:
    """Every interface that is up but this one, `lo` included; raises as `observe_link` does."""
    names = (name for other, name in socket.if_nameindex() if other != ifindex)
    links = (observe_link(name) for name in names)
    return tuple(link for link in links if link is not None and link.up)
