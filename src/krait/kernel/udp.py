# SPDX-License-Identifier: Apache-2.0
"""Who has a UDP port."""

import socket
from errno import EADDRINUSE

from krait.common.errors import SystemRefused

_ANYWHERE = ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"))  # noqa: S104 - as WireGuard does


class PortInUse(SystemRefused):
    """Somebody else listens there."""

    def __init__(self, port: int | None) -> None:
        """`port` is None where only the kernel knows which."""
        super().__init__(
            f"{'the UDP port of the device' if port is None else f'UDP port {port}'} is in use",
            hint="Choose another listen_port, or stop what listens there: `ss -lunp` names it.",
        )


def require_free(port: int) -> None:
    """Raise PortInUse where a socket of this network namespace has the port.

    A WireGuard device has its socket only from when it goes up, which is late to hear of it; and
    one in userspace tells nobody but its log.
    """
    for family, anywhere in _ANYWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as each:
                if family == socket.AF_INET6:
                    each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                each.bind((anywhere, port))
        except OSError as error:  # what else is refused here says nothing about the port
            if error.errno == EADDRINUSE:
                raise PortInUse(port) from error
