# SPDX-License-Identifier: Apache-2.0
"""`tcp/5432`, `udp/8000-8100`, `icmp`: what rules and tests say about ports, and back to text."""

import re
from types import MappingProxyType

from krait.common.errors import UsageError
from krait.policy.model import ICMP4, ICMP6, TCP, UDP, PortSpan
from krait.policy.problems import quoted, suggestion

MAX_PORT = 0xFFFF
MAX_PROTOCOL = 0xFF

PROTOCOLS = MappingProxyType(
    {"tcp": (TCP,), "udp": (UDP,), "icmp": (ICMP4, ICMP6), "icmp4": (ICMP4,), "icmp6": (ICMP6,)}
)
"""The words a document knows; others come later."""

_WITH_PORTS = frozenset({TCP, UDP})
_WORDS = {TCP: "tcp", UDP: "udp", ICMP4: "icmp4", ICMP6: "icmp6"}
_RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", re.ASCII)
_GLUED = re.compile(r"(tcp|udp)[:.]?([0-9]{1,5}(?:-[0-9]{1,5})?)", re.ASCII)


def parse(text: str) -> tuple[PortSpan, ...]:
    """The spans that `tcp/5432`, `udp/8000-8100` or a bare protocol word means.

    Raises UsageError, whose hint says what is expected.
    """
    word, slash, ports = text.partition("/")
    if word.startswith("@"):
        raise UsageError(f"{quoted(text)}: port groups are reserved for later")
    if word not in PROTOCOLS:
        raise _unknown(text, word)
    numbers = PROTOCOLS[word]
    if not slash:
        return tuple(whole(n) for n in numbers)
    if not _WITH_PORTS.issuperset(numbers):
        raise UsageError(f"{quoted(text)}: {word} has no ports", hint=f"write `{word}` alone")
    low, high = _range(text, ports)
    return tuple(PortSpan(n, low, high) for n in numbers)


def describe(protocol: int, low: int, high: int) -> str:
    """The text for a span, as short as a document would write it."""
    word = _WORDS.get(protocol, f"protocol {protocol}")
    if protocol not in _WITH_PORTS or (low, high) == (0, MAX_PORT):
        return word
    return f"{word}/{low}" if low == high else f"{word}/{low}-{high}"


def whole(protocol: int) -> PortSpan:
    """Every port of a protocol; those without ports have the one port 0."""
    return PortSpan(protocol, 0, MAX_PORT if protocol in _WITH_PORTS else 0)


def _unknown(text: str, word: str) -> UsageError:
    if _RANGE.fullmatch(text):
        return UsageError(f"port {text} without its protocol", hint=f"write `tcp/{text}`")
    if glued := _GLUED.fullmatch(text.lower()):
        return UsageError(f"unknown protocol {quoted(word)}", hint=f"write `{glued[1]}/{glued[2]}`")
    near = suggestion(word.lower(), PROTOCOLS)
    known = f"{', '.join(PROTOCOLS)} are known, others come later"
    return UsageError(f"unknown protocol {quoted(word)}", hint=near or known)


def _range(text: str, ports: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(ports)
    if not match:
        raise UsageError(
            f"{quoted(text)}: {quoted(ports)} is neither a port nor a range",
            hint="write `tcp/5432` or `udp/8000-8100`",
        )
    low, high = int(match[1]), int(match[2] or match[1])
    if max(low, high) > MAX_PORT:
        raise UsageError(f"{quoted(text)}: port out of range", hint=f"ports end at {MAX_PORT}")
    if low > high:
        raise UsageError(f"{quoted(text)}: reversed range", hint=f"write `{high}-{low}`")
    return low, high
