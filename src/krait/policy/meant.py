# SPDX-License-Identifier: Apache-2.0
"""`80/tcp`, `ssh`, `tcp/80,443`: ports as other tools write them, and what they are here.

Nothing of this is read as if it were right: it is for the hint of a refusal.

Source: the IANA registry of service names, for the few that people write instead of a number.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

EVERYTHING = frozenset({"any", "all", "*"})
"""Words for every port, or every protocol; a document says so by saying nothing."""

_ECHO = "icmp/echo"
_TCP, _UDP = "tcp", "udp"
_SERVICES: Final[Mapping[str, tuple[int, tuple[str, ...]]]] = MappingProxyType(
    {
        "ssh": (22, (_TCP,)),
        "smtp": (25, (_TCP,)),
        "dns": (53, (_TCP, _UDP)),
        "http": (80, (_TCP,)),
        "ntp": (123, (_UDP,)),
        "https": (443, (_TCP,)),
        "mysql": (3306, (_TCP,)),
        "postgres": (5432, (_TCP,)),
        "postgresql": (5432, (_TCP,)),
    }
)
_PINGS = frozenset({"ping", "icmp/ping", "icmp/8", "icmp/128"})
_TURNED = re.compile(r"([0-9-]+)/([a-z]+)", re.ASCII)
_OTHER_DASH = re.compile(r"([a-z]+/[0-9]+)(?::|\.\.| - )([0-9]+)", re.ASCII)
_SEVERAL = re.compile(r"([a-z]+)/([0-9-]+(?:, ?[0-9-]+)+)", re.ASCII)


def meant(text: str) -> tuple[str, ...]:
    """The ports that somebody meant who wrote this; none where nobody can tell.

    Whether they are right, as numbers that are too large are not, `ports.parse` knows.
    """
    text = text.lower()
    protocol, _, rest = text.partition("/")
    if text in _PINGS:
        return (_ECHO,)
    if text in _SERVICES:
        port, protocols = _SERVICES[text]
        return tuple(f"{each}/{port}" for each in protocols)
    if rest == "ping":
        return (f"{protocol}/echo",)
    if rest in _SERVICES:
        return (f"{protocol}/{_SERVICES[rest][0]}",)
    if rest in EVERYTHING:
        return (protocol,)
    if turned := _TURNED.fullmatch(text):
        return (f"{turned[2]}/{turned[1]}",)
    if spread := _OTHER_DASH.fullmatch(text):
        return (f"{spread[1]}-{spread[2]}",)
    if several := _SEVERAL.fullmatch(text):
        return tuple(f"{several[1]}/{each.strip()}" for each in several[2].split(","))
    return ()
