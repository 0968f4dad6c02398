# SPDX-License-Identifier: Apache-2.0
"""The policy document of the demo, before and after web1 is put in quarantine. Pure."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

TAGS: Mapping[str, str] = MappingProxyType(
    {"db1": "db", "web1": "web", "web2": "web", "ops1": "ops"}
)
"""The hosts, in the order of their host numbers, each with its tag."""

SUSPECT = "web1"

_MESH = 'mesh: {cidr: [10.8.0.0/24, "fd7a:6b72::/64"]}'

# `sync` has ranges, so that each probe and flow has a port of its own.
_RULES = (
    "{name: sql,  from: web, to: db,  ports: [tcp/5432, icmp]}",
    "{name: sync, from: web, to: web, ports: [tcp/8000-8099, udp/8000-8099]}",
    '{name: root, from: ops, to: "*"}',
    '{name: ssh,  from: "*", to: db,  ports: tcp/22, action: deny}',
)
_QUARANTINE = f'{{name: quarantine, from: {SUSPECT}, to: "*", action: deny}}'
_TESTS = (
    "{from: web2, to: db1, port: tcp/5432, expect: allow}",
    '{from: db, to: "*", expect: deny}',
)

_KEY = re.compile(r'"([A-Za-z0-9+/]{6})[A-Za-z0-9+/]{37}="')


def write(keys: Mapping[str, str], *, quarantine: bool = False) -> str:
    """The document for hosts with these WireGuard public keys (base64)."""
    return "\n".join(_lines(keys, (*_RULES, _QUARANTINE) if quarantine else _RULES)) + "\n"


def shortened(text: str) -> str:
    """The document as a person wants to see it: every key cut to its first characters."""
    return _KEY.sub(r'"\1…"', text)


def _lines(keys: Mapping[str, str], rules: tuple[str, ...]) -> Iterator[str]:
    yield _MESH
    yield "nodes:"
    for name, tag in TAGS.items():
        yield f'  {name + ":":5} {{tags: {tag + ",":4} public_key: "{keys[name]}"}}'
    yield "policy:"
    yield "  rules:"
    yield from (f"    - {rule}" for rule in rules)
    yield "  tests:"
    yield from (f"    - {test}" for test in _TESTS)
