# SPDX-License-Identifier: Apache-2.0
"""`tcp/5432`, `icmp/echo`, `gre`, `ip/47`: what rules and tests say about ports, and back to text.

Sources: the IANA registries of protocol numbers and of ICMP and ICMPv6 types.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from krait.common.errors import UsageError
from krait.policy.meant import EVERYTHING, meant
from krait.policy.model import ECHO_REQUEST, ICMP4, ICMP6, LAST_PORT, SCTP, TCP, UDP, PortSpan
from krait.policy.problems import quoted, suggestion

MAX_PORT = 0xFFFF
MAX_PROTOCOL = 0xFF

OTHER_PROTOCOL = 255
"""Stands for every protocol that no rule names. None can name this one, which IANA has reserved."""

PROTOCOLS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "tcp": (TCP,),
        "udp": (UDP,),
        "sctp": (SCTP,),
        "icmp": (ICMP4, ICMP6),
        "icmp4": (ICMP4,),
        "icmp6": (ICMP6,),
        "igmp": (2,),
        "ipip": (4,),
        "dccp": (33,),
        "ip6ip": (41,),
        "rsvp": (46,),
        "gre": (47,),
        "esp": (50,),
        "ah": (51,),
        "eigrp": (88,),
        "ospf": (89,),
        "pim": (103,),
        "vrrp": (112,),
        "l2tp": (115,),
        "udplite": (136,),
    }
)
"""The words a document knows; any other protocol is `ip/NUMBER`."""

BY_NUMBER = "ip"

# Of ICMP, rules concern what opens: errors are judged by what they are about, echo replies belong
# to a flow, and redirects and discovery of routers and neighbours drop.
_NEVER_ASKED: Mapping[int, frozenset[int]] = MappingProxyType(
    {
        ICMP4: frozenset({0, 3, 4, 5, 9, 10, 11, 12}),
        ICMP6: frozenset({*range(128), 129, *range(133, 138)}),
    }
)
ECHO = "echo"

_WORDS = {numbers[0]: word for word, numbers in PROTOCOLS.items() if word != "icmp"}
_EXAMPLES = {"port": "`tcp/5432` or `udp/8000-8100`", "type": f"`icmp/{ECHO}` or `icmp4/13`"}
_RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", re.ASCII)
_GLUED = re.compile(r"(tcp|udp)[:.]?([0-9]{1,5}(?:-[0-9]{1,5})?)", re.ASCII)

RANGE_PATTERN = _RANGE.pattern
"""What stands behind the slash, as a regular expression: one number or two."""


def parse(text: str) -> tuple[PortSpan, ...]:
    """The spans that `tcp/5432`, `udp/8000-8100` or a bare protocol word means.

    Raises UsageError, whose hint says what is expected.
    """
    try:
        return _parsed(text)
    except UsageError as error:
        raise UsageError(error.message, hint=_mend(text) or error.hint) from None


def _parsed(text: str) -> tuple[PortSpan, ...]:
    word, slash, ports = text.partition("/")
    if word == BY_NUMBER:
        return (whole(_protocol(text, ports)),)
    if word not in PROTOCOLS:
        raise _unknown(text, word)
    numbers = PROTOCOLS[word]
    if not slash:
        return tuple(whole(n) for n in numbers)
    if ICMP4 in numbers or ICMP6 in numbers:
        return _messages(text, word, ports)
    if numbers[0] not in LAST_PORT:
        raise UsageError(f"{quoted(text)}: {word} has no ports", hint=f"write `{word}` alone")
    return (PortSpan(numbers[0], *_range(text, ports, "port", MAX_PORT)),)


def describe(protocol: int, low: int, high: int) -> str:
    """The text for a span, as short as a document would write it."""
    word = _WORDS.get(protocol, f"{BY_NUMBER}/{protocol}")
    if (low, high) == (0, LAST_PORT.get(protocol, 0)):
        return word
    if low == high == ECHO_REQUEST.get(protocol):
        return f"{word}/{ECHO}"
    return f"{word}/{low}" if low == high else f"{word}/{low}-{high}"


def whole(protocol: int) -> PortSpan:
    """Every port of a protocol."""
    return PortSpan(protocol, 0, LAST_PORT.get(protocol, 0))


def _messages(text: str, word: str, kinds: str) -> tuple[PortSpan, ...]:
    """Types of ICMP: the echo of either family, and of one of them any that opens something."""
    numbers = PROTOCOLS[word]
    if kinds == ECHO:
        return tuple(PortSpan(n, ECHO_REQUEST[n], ECHO_REQUEST[n]) for n in numbers)
    if len(numbers) > 1:
        single = [f"`{each}`" for n in numbers if _is_right(each := f"{_WORDS[n]}/{kinds}")]
        others = f", or {' or '.join(single)}" if single else ""
        raise UsageError(
            f"{quoted(text)}: IPv4 and IPv6 have different types of ICMP",
            hint=f"write `icmp/{ECHO}`{others}",
        )
    (protocol,) = numbers
    low, high = _range(text, kinds, "type", LAST_PORT[protocol])
    if _NEVER_ASKED[protocol].issuperset(range(low, high + 1)):
        raise UsageError(
            f"{quoted(text)}: no rule decides about this message",
            hint="errors and replies pass with the flow that they belong to; redirects and "
            "discovery of routers and neighbours never do",
        )
    return (PortSpan(protocol, low, high),)


def _protocol(text: str, number: str) -> int:
    """The IANA number in `ip/47`."""
    if not number.isascii() or not number.isdecimal() or int(number[:9]) >= OTHER_PROTOCOL:
        raise UsageError(
            f"{quoted(text)}: {quoted(number)} is no number of a protocol",
            hint=f"write `{BY_NUMBER}/47`, from 0 to {OTHER_PROTOCOL - 1}",
        )
    return int(number)


def _mend(text: str) -> str:
    """How what people of other tools write is written here, as a hint; nothing for all else."""
    if text.lower() in EVERYTHING:
        return "leave the ports out, which means every protocol"
    found = meant(text)
    if not found or not all(map(_is_right, found)):
        return ""
    if len(found) > 1:
        return f"write each by itself: `[{', '.join(found)}]`"
    return f"write `{found[0]}`"


def _is_right(text: str) -> bool:
    try:
        return bool(_parsed(text))
    except UsageError:
        return False


def _unknown(text: str, word: str) -> UsageError:
    if _RANGE.fullmatch(text):
        return UsageError(f"port {text} without its protocol", hint=f"write `tcp/{text}`")
    if glued := _GLUED.fullmatch(text.lower()):
        return UsageError(f"unknown protocol {quoted(word)}", hint=f"write `{glued[1]}/{glued[2]}`")
    near = suggestion(word.lower(), PROTOCOLS)
    known = f"write its number, as in `{BY_NUMBER}/47`; known are {', '.join(PROTOCOLS)}"
    return UsageError(f"unknown protocol {quoted(word)}", hint=near or known)


def _range(text: str, ports: str, what: str, last: int) -> tuple[int, int]:
    match = _RANGE.fullmatch(ports)
    if not match:
        raise UsageError(
            f"{quoted(text)}: {quoted(ports)} is neither a {what} nor a range",
            hint=f"write {_EXAMPLES[what]}",
        )
    low, high = int(match[1]), int(match[2] or match[1])
    if max(low, high) > last:
        raise UsageError(f"{quoted(text)}: {what} out of range", hint=f"{what}s end at {last}")
    if low > high:
        raise UsageError(f"{quoted(text)}: reversed range", hint=f"write `{high}-{low}`")
    return low, high
