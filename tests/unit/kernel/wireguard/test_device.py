# SPDX-License-Identifier: Apache-2.0
from ipaddress import ip_interface, ip_network

from krait.kernel.wireguard import Device, Peer
from krait.policy import view

PREFIXES = (ip_network("10.8.0.2/32"), ip_network("fd7a:6b72::2/128"))
PEER = Peer(b"p" * 32, "192.0.2.2:51820", PREFIXES, 1, 2, 3, 4)
DEVICE = Device("wg0", 7, b"k" * 32, 51820, userspace=False, peers=(PEER,))


def test_policy_sees_keys_and_prefixes_of_the_device_and_addresses_of_its_link() -> None:
    addresses = (ip_interface("10.8.0.1/24"),)
    assert DEVICE.as_policy_sees_it(addresses) == view.Interface(
        b"k" * 32, addresses, (view.Peer(b"p" * 32, PREFIXES),)
    )
