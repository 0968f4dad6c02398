# SPDX-License-Identifier: Apache-2.0
"""Who has a UDP port, in a network namespace of the test's own."""

import socket

import pytest

from krait.kernel.udp import PortInUse, require_free

pytestmark = pytest.mark.usefixtures("netns")

PORT = 51820


@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::")]
)
def test_a_port_that_any_socket_has_is_in_use_until_it_is_closed(
    family: socket.AddressFamily, address: str
) -> None:
    require_free(PORT)
    with socket.socket(family, socket.SOCK_DGRAM) as other:
        other.bind((address, PORT))
        with pytest.raises(PortInUse, match=str(PORT)):
            require_free(PORT)
        require_free(PORT + 1)
    require_free(PORT)


def test_one_of_tcp_is_another() -> None:
    with socket.create_server(("0.0.0.0", PORT)):  # noqa: S104 - as a WireGuard does
        require_free(PORT)
