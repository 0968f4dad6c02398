# SPDX-License-Identifier: Apache-2.0
"""From the text of one field to its value. Each raises UsageError with a hint that mends it."""

import re
from base64 import b64decode
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

from krait.common.errors import UsageError
from krait.policy import endpoint as endpoints
from krait.policy.model import Address, Network
from krait.policy.problems import has_key, quoted

RESERVED_NAMES = frozenset({"all", "any", "self"})

PAIR = "{pair}"
"""In the path of a preshared key, the names of the two nodes that share it."""

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
INTERFACE = re.compile(r"(?!\.{1,2}$)[a-zA-Z0-9_=+.-]{1,15}")
MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)
LAST_YEAR = 2200
LAST_MOMENT_S = int(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC).timestamp()) - 1
"""The kernel counts nanoseconds since 1970 in 64 bits."""

PREFIX = re.compile(r"[^/]+/[0-9]{1,3}", re.ASCII)
PUBLIC_KEY = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")
"""32 bytes in base64; of the last letter's bits two are padding, and zero."""

LEAST_MTU, MOST_MTU = 576, 0xFFFF - 20 - 8 - 32
MOST_KEEPALIVE_S = 0xFFFF
NO_KEEPALIVE = "off"

_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
LEAST_MTU6 = 1280


def name(text: str) -> str:
    """A node, a tag or a rule."""
    if not NAME.fullmatch(text):
        raise UsageError(
            f"{quoted(text)} is not a name" if text else "an empty name",
            hint="a name is 1 to 63 of a-z, 0-9 and -, and does not start with -",
        )
    if text in RESERVED_NAMES:
        raise UsageError(f"{quoted(text)} is a reserved word", hint="choose another name")
    return text


def moment(text: str) -> int:
    """Seconds since 1970 of a moment in ISO 8601, with its distance from UTC."""
    hint = "write it as 2026-12-31T18:00:00Z, or with +01:00 in the place of Z"
    if not MOMENT.fullmatch(text):
        raise UsageError(f"{quoted(text)} is not a moment with its time zone", hint=hint)
    try:
        moment_s = int(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{quoted(text)} is no moment: {error}", hint=hint) from error
    if not 0 < moment_s <= LAST_MOMENT_S:
        raise UsageError(
            f"{quoted(text)} is before 1970, or after {LAST_YEAR}",
            hint="leave `until` out for a rule that does not end",
        )
    return moment_s


def interface(text: str) -> str:
    """A name that Linux and WireGuard's tools take for an interface."""
    if not INTERFACE.fullmatch(text):
        raise UsageError(
            f"{quoted(text)} is not an interface name",
            hint="it is 1 to 15 of a-z, A-Z, 0-9 and _=+.-",
        )
    return text


def public_key(text: str) -> bytes:
    """A WireGuard key: 32 bytes in base64, in the one spelling that `wg` prints."""
    if not PUBLIC_KEY.fullmatch(text):
        raise UsageError(
            f"{quoted(text)} is not a public key",
            hint="it is the 44 characters of base64 that `wg show IFACE public-key` prints",
        )
    key = b64decode(text)
    if not any(key):
        raise UsageError("the public key is all zeros", hint="WireGuard never makes one")
    return key


def address(text: str) -> Address:
    """One address that a node can have: inside the mesh, or link-local."""
    found = ip(text)
    is_reserved = found.version == 4 and found.is_reserved  # most of IPv6 is, and passes
    if found.is_multicast or found.is_unspecified or found.is_loopback or is_reserved:
        raise UsageError(
            f"{quoted(text)} cannot be the address of a node in a mesh",
            hint="write one of the mesh's range, or a link-local one",
        )
    return found


def ip(text: str) -> Address:
    """One address, whatever it is good for."""
    host, slash, _ = text.partition("/")
    try:
        found = ip_address(host)
    except ValueError:
        raise UsageError(
            f"{quoted(text)} is not an IP address", hint="as in `10.8.0.1` or `fd7a:6b72::1`"
        ) from None
    if slash:
        raise UsageError(f"{quoted(text)} is not one address", hint=f"write `{host}`")
    if "%" in text:
        raise UsageError(f"{quoted(text)} has a zone", hint="leave out the %")
    return found


def network(text: str) -> Network:
    """A prefix without host bits."""
    if not PREFIX.fullmatch(text) or "%" in text:
        raise UsageError(f"{quoted(text)} is not a CIDR", hint="write it as `10.8.0.0/24`")
    try:
        found = ip_network(text, strict=False)
    except ValueError:
        raise UsageError(f"{quoted(text)} is not a CIDR", hint="as in `10.8.0.0/24`") from None
    if found.network_address != ip_address(text.partition("/")[0]):
        raise UsageError(f"{quoted(text)} has host bits set", hint=f"write `{found}`")
    return found


def endpoint(text: str) -> str:
    """Where WireGuard sends: host:port, the host an IPv6 address in brackets or a name."""
    if endpoints.parse(text).zone:
        raise UsageError(
            f"{quoted(text)} has a zone, which means another thing on every node",
            hint="write an address that is not link-local, or a host name",
        )
    return text


def listen_port(text: str) -> int:
    """The UDP port that WireGuard listens on."""
    if not endpoints.is_port(text):
        raise UsageError(f"{quoted(text)} is not a port", hint="it is a number from 1 to 65535")
    return int(text)


def mtu(text: str, *, ipv6: bool) -> int:
    """The largest packet, in bytes, that may enter the tunnel.

    At least what every host must take in one piece: 576 for IPv4 (RFC 791), 1280 for IPv6
    (RFC 8200), without which Linux turns IPv6 off on the device. At most what fits into one UDP
    datagram: 65535 less 20 for IPv4, 8 for UDP and 32 for WireGuard.
    """
    least = LEAST_MTU6 if ipv6 else LEAST_MTU
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= MOST_MTU:
        family = ", as IPv6 needs 1280" if ipv6 else ""
        raise UsageError(
            f"{quoted(text)} is not an MTU",
            hint=f"it is a number from {least} to {MOST_MTU}{family}",
        )
    return int(text)


def keepalive_s(text: str) -> int:
    """How often WireGuard shows a silent peer that it is there, in seconds; 0 or `off`: never."""
    if text == NO_KEEPALIVE:
        return 0
    if not _NUMBER.fullmatch(text) or int(text) > MOST_KEEPALIVE_S:
        raise UsageError(
            f"{quoted(text)} is not an interval",
            hint=f"it is a number of seconds up to {MOST_KEEPALIVE_S}, or {NO_KEEPALIVE}",
        )
    return int(text)


def preshared_key_file(text: str) -> str:
    """An absolute path, the same wherever the agent was started.

    `{pair}` in it stands for the two nodes that share the key. No error quotes it: who mistakes
    what belongs here writes the key itself.
    """
    if has_key(text):
        raise UsageError(
            "this looks like a key, which belongs in a file",
            hint="name a file of mode 0600 here, on this node; if others may read this document, "
            "they know the key: make another one",
        )
    if not text.startswith("/"):
        raise UsageError("this is not an absolute path", hint="start it with /")
    if not text.isprintable() or text.endswith("/"):
        raise UsageError(
            "this is not the path of a file", hint=f"as in `/etc/krait/psk/{PAIR}.key`"
        )
    if not {"{", "}"}.isdisjoint(text.replace(PAIR, "")):
        raise UsageError("this has braces", hint=f"only `{PAIR}` stands for something")
    return text
