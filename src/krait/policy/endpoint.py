# SPDX-License-Identifier: Apache-2.0
"""Where a node is reached: `192.0.2.1:51820`, `[2001:db8::1]:51820`, `hub.example.org:51820`.

The one place where host and port are taken apart. A document, WireGuard and a resolver all write
them so; who needs an address only says so (`numeric`).
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from krait.common.errors import UsageError
from krait.policy.model import Address
from krait.policy.problems import quoted

_AS_IN = "write `192.0.2.1:51820` or `[2001:db8::1]:51820`"
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_HOST = re.compile(r"(?=.{1,253}$)[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,62})(\.[a-zA-Z0-9_-]{1,63})*\.?")


class NotAnEndpoint(UsageError):
    """A text that is none, or none of the kind that is needed."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and a UDP port, 1 to 65535."""

    host: Address | str
    """A `str` is a name that is to be resolved."""
    port: int

    @property
    def address(self) -> Address | None:
        """None: it is a name's to tell."""
        return None if isinstance(self.host, str) else self.host

    @property
    def zone(self) -> str:
        """What of this machine's an address is good on, after its `%`; mostly empty."""
        return (self.host.scope_id or "") if isinstance(self.host, IPv6Address) else ""

    def __str__(self) -> str:
        """In one spelling."""
        return (
            f"[{self.host}]:{self.port}"
            if isinstance(self.host, IPv6Address)
            else f"{self.host}:{self.port}"
        )


def parse(text: str) -> Endpoint:
    """Host and port. Raises NotAnEndpoint, whose hint mends it."""
    host, colon, port = text.rpartition(":")
    if not colon or not is_port(port):
        raise NotAnEndpoint(
            f"{quoted(text)} has no port from 1 to 65535"
            if host
            else f"{quoted(text)} has no port",
            hint=_AS_IN,
        )
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        numeric = ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        if bracketed or not _is_name(host):
            raise NotAnEndpoint(
                f"{quoted(host)} is neither an address nor a host name",
                hint="as in `192.0.2.1:51820`, `[2001:db8::1]:51820` or `host.example.org:51820`",
            ) from None
        return Endpoint(host, int(port))
    if bracketed == isinstance(numeric, IPv4Address):
        raise NotAnEndpoint(
            f"{quoted(text)}: only IPv6 addresses stand in brackets, and they must",
            hint=f"write `{Endpoint(numeric, int(port))}`",
        )
    return Endpoint(numeric, int(port))


def numeric(text: str) -> tuple[Address, int]:
    """The address and the port as WireGuard takes them: a zone is an interface's number.

    Raises NotAnEndpoint for anything else, a host name too: who has one resolves it first.
    """
    found = parse(text)
    if found.address is None or (found.zone and not _NUMBER.fullmatch(found.zone)):
        raise NotAnEndpoint(f"{quoted(text)} is not an address and a port", hint=_AS_IN)
    return found.address, found.port


def is_port(text: str) -> bool:
    """Whether it is the number of a port that somebody can listen on, 1 to 65535."""
    return bool(_NUMBER.fullmatch(text)) and 1 <= int(text) <= 0xFFFF


def _is_name(text: str) -> bool:
    """A host name; one that looks like a mistyped IPv4 address is none."""
    last = text.rstrip(".").rpartition(".")[2]
    return bool(_HOST.fullmatch(text)) and not last.isdigit()
