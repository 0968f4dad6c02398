# SPDX-License-Identifier: Apache-2.0
"""A document taken as a whole: a device, and a policy that fits an interface made from it.

Both are worked out before anything changes. Where the document before is known, what the two have
in common is not worked out again. Pure.
"""

from dataclasses import dataclass
from typing import Protocol

from krait.agent.desired import Desired, Source, desire
from krait.policy.device import WantedDevice
from krait.policy.model import Document
from krait.policy.numbering import Numbers
from krait.policy.view import Interface, Peer


@dataclass(frozen=True, slots=True)
class Adopted:
    """A document that fits."""

    device: WantedDevice
    desired: Desired  # as if the interface were the device

    @property
    def document(self) -> Document:
        """As it was written."""
        return self.desired.source.document


class Want(Protocol):
    """Reads from a document what the device of this machine should be."""

    def __call__(self, found: Source, known: Adopted | None = None) -> WantedDevice:
        """What is `known` of another document saves time; raises UsageError."""


def fitted(source: Source, device: WantedDevice, known: Adopted | None) -> Adopted:
    """Raises UsageError if an interface made from the document would not take its policy."""
    if known is not None and known.device is device:
        interface = known.desired.interface
    else:
        interface = _interface(device)
    if known is None or known.desired.interface != interface:
        return Adopted(device, desire(source, interface, Numbers()))
    before = known.desired
    return Adopted(device, desire(source, before.interface, before.compiled.numbers, before=before))


def _interface(device: WantedDevice) -> Interface:
    peers = tuple(Peer(each.public_key, each.allowed_ips) for each in device.peers)
    return Interface(device.public_key, device.addresses, peers)
