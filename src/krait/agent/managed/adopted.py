# SPDX-License-Identifier: Apache-2.0
"""A document taken as a whole: a device, and a policy that fits an interface made from it. Pure."""

from dataclasses import dataclass
from typing import Protocol

from krait.agent.desired import Source, desire
from krait.policy.device import WantedDevice
from krait.policy.model import Document
from krait.policy.numbering import Numbers
from krait.policy.view import Interface, Peer


@dataclass(frozen=True, slots=True)
class Adopted:
    """The document that counts, and the device that it wants of this machine."""

    document: Document
    device: WantedDevice


class Want(Protocol):
    """Reads from a document what the device of this machine should be."""

    def __call__(self, found: Source, known: Adopted | None = None) -> WantedDevice:
        """The known one itself, if that has not changed. Raises UsageError."""


def adopt(found: Source, device: WantedDevice, known: Adopted | None) -> Adopted:
    """Raises UsageError if an interface made from the document would not take its policy.

    Of a device that stays as it is there is nothing to hold back: whether the policy fits, the next
    round finds out on the interface itself.
    """
    if known is None or device is not known.device:
        peers = tuple(Peer(each.public_key, each.allowed_ips) for each in device.peers)
        desire(found, Interface(device.public_key, device.addresses, peers), Numbers())
    return Adopted(found.document, device)
