# SPDX-License-Identifier: Apache-2.0
"""Where a peer is reached: `192.0.2.1:51820`, `[2001:db8::1]:51820`, `[fe80::1%3]:51820`."""

import re
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

_ENDPOINT = re.compile(
    r"(?:\[([0-9a-fA-F:.]*:[0-9a-fA-F:.]*(?:%\d+)?)\]|([\d.]+)):(\d{1,5})", re.ASCII
)


def parse(endpoint: str) -> tuple[IPv4Address | IPv6Address, int]:
    """The address and the port, 1 to 65535. A zone is an interface's number.

    Raises ValueError for anything else, a host name too: who has one resolves it first.
    """
    if match := _ENDPOINT.fullmatch(endpoint):
        address, port = match[1] or match[2], int(match[3])
        with suppress(ValueError):
            if 1 <= port <= 0xFFFF:
                return ip_address(address), port
    raise ValueError(f"{endpoint!r} is not an address and a port")
