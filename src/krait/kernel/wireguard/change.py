# SPDX-License-Identifier: Apache-2.0
"""What to change about a WireGuard interface; what is None stays as it is.

Keys are kept out of every repr, and with that out of logs and tracebacks.
"""

from dataclasses import dataclass, field

from krait.kernel.wireguard.device import KEY_BYTES
from krait.policy.model import Network


@dataclass(frozen=True, slots=True)
class PeerChange:
    """A peer to add, to change or to remove. Raises ValueError for what no peer can have."""

    public_key: bytes
    preshared_key: bytes | None = field(default=None, repr=False)
    """`NO_KEY`: without one from now on."""
    endpoint: str | None = None
    """Written as `Peer.endpoint` is: `192.0.2.1:51820` or `[2001:db8::1]:51820`."""
    keepalive_s: int | None = None
    """0: off."""
    allowed_ips: tuple[Network, ...] | None = None
    """All that the peer has from now on; one that another peer has moves over."""
    remove: bool = False
    """Nothing else matters then, and one that is not there is removed already."""

    def __post_init__(self) -> None:
        _require_keys(self.public_key, self.preshared_key)
        if self.keepalive_s is not None and not 0 <= self.keepalive_s <= 0xFFFF:
            raise ValueError(f"a keepalive of {self.keepalive_s} s; it is 0 to 65535")


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """What to change about the interface itself, and about which of its peers."""

    private_key: bytes | None = field(default=None, repr=False)
    """`NO_KEY`: none from now on."""
    listen_port: int | None = None
    """0: any that is free."""
    fwmark: int | None = None
    """The mark of the packets that WireGuard itself sends; 0: none."""
    peers: tuple[PeerChange, ...] = ()

    def __post_init__(self) -> None:
        _require_keys(self.private_key)
        if self.listen_port is not None and not 0 <= self.listen_port <= 0xFFFF:
            raise ValueError(f"a listen port of {self.listen_port}; it is 0 to 65535")

    @property
    def ordered(self) -> tuple[PeerChange, ...]:
        """The peers, those to remove first: what they leave behind is free for the others."""
        return tuple(sorted(self.peers, key=lambda peer: not peer.remove))

    def __bool__(self) -> bool:
        """Whether there is anything to change."""
        return self != _NOTHING


def _require_keys(*keys: bytes | None) -> None:
    for key in keys:
        if key is not None and len(key) != KEY_BYTES:
            raise ValueError(f"a key of {len(key)} bytes; it has {KEY_BYTES}")


_NOTHING = DeviceChange()
