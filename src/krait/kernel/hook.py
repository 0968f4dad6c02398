# SPDX-License-Identifier: Apache-2.0
"""The two places on an interface where a classifier sits."""

from enum import Enum


class Hook(Enum):
    """A side of the local WireGuard interface; both kinds of attachment (TCX, clsact) have it."""

    INGRESS = "ingress"
    """What the interface received and decrypted, on its way to this host."""
    EGRESS = "egress"
    """What this host sends, before WireGuard chooses a peer and encrypts."""
