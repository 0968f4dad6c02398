# SPDX-License-Identifier: Apache-2.0
"""Messages of links, as a kernel would tell them."""

from struct import pack

from krait.kernel.netlink import attribute

REST = attribute(4, pack("=I", 1420)) + attribute(27, pack("=I", 0))


def told(ifindex: int, *parts: bytes) -> memoryview:
    return memoryview(pack("=BxHiII", 0, 0, ifindex, 1, 0) + b"".join(parts))
