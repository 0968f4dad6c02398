# SPDX-License-Identifier: Apache-2.0
"""A JSON Schema of the document, for editors: what `krait schema` prints.

It is made of what the readers go by: their keys, patterns, words and bounds. It never refuses what
`document.load` takes. Of what `load` refuses it finds what can be told from one value and its key;
what takes two places (an unknown tag, a duplicate address) is left to `krait check`.

Values are read as text, and an editor takes `10` for a number, so a name may be one, too.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import TypeAlias

from krait.policy import ports, values
from krait.policy.document import DOCUMENT_KEYS, VERSION
from krait.policy.groups import SIGN
from krait.policy.limits import LIMIT_KEYS, MAX_OPENS, UNLIMITED
from krait.policy.model import ECHO_REQUEST
from krait.policy.multicast import GROUP_KEYS
from krait.policy.nodes import DEVICE_KEYS, MAX_RANGES, MESH_KEYS, NODE_KEYS, ROUTE_KEYS
from krait.policy.rules import (
    ACTIONS,
    DEFAULT_RULE,
    DEFAULTS,
    EXPECTED,
    POLICY_KEYS,
    RULE_KEYS,
    TEST_KEYS,
)
from krait.policy.selectors import EVERYONE, SELECTOR_KEYS

Schema: TypeAlias = "dict[str, Json]"
Json: TypeAlias = "str | int | bool | list[Json] | Schema"

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> Schema:
    """The whole of it, as JSON's own types."""
    return {
        "$schema": DIALECT,
        "title": "Krait's policy document",
        **_document(),
        "$defs": {
            "name": _name(values.RESERVED_NAMES),
            "selector": _one_or_more(_selector(), at_least_one=True),
            "cidr": _text(values.PREFIX.pattern),
            "span": _text(_span()),
            "port": _text(f"{_span()}|{re.escape(SIGN)}{values.NAME.pattern}"),
        },
    }


def text() -> str:
    """The same as a file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _document() -> Schema:
    node = _section(NODE_KEYS, _node())
    keyed: list[Json] = [{"required": ["public_key"]}, {"required": ["via"]}]
    fields: Mapping[str, Schema] = {
        "version": _told("of the document's language", {"enum": [int(VERSION), VERSION]}),
        "interface": _told("the WireGuard interface", _text(values.INTERFACE.pattern, plain=True)),
        "node": _told("which node this machine is", _named("name")),
        "mesh": _told("the addresses of the mesh", _section(MESH_KEYS, _mesh(), required=["cidr"])),
        "nodes": _told(
            "who there is, by name", _by_name({**node, "anyOf": keyed}, at_least_one=True)
        ),
        "multicast": _told(
            "groups that rules may name as destinations, by name",
            _by_name(_section(GROUP_KEYS, _multicast(), required=["address"])),
        ),
        "policy": _told("who may reach whom", _section(POLICY_KEYS, _policy())),
    }
    return _section(DOCUMENT_KEYS, fields, required=["nodes", "policy"])


def _mesh() -> Mapping[str, Schema]:
    ranges = _one_or_more(_named("cidr"), at_least_one=True, at_most=MAX_RANGES)
    return {"cidr": _told("a range, or several", ranges), **_device()}


def _device() -> Mapping[str, Schema]:
    fields = {
        "listen_port": _told("WireGuard's UDP port", _number(1, ports.MAX_PORT)),
        "mtu": _told(
            "the largest packet in the tunnel, in bytes",
            _number(values.LEAST_MTU, values.MOST_MTU),
        ),
        "keepalive": _told(
            "how often a silent peer is shown that this node is there: seconds, or off",
            _number(0, values.MOST_KEEPALIVE_S, or_word=values.NO_KEEPALIVE),
        ),
        "preshared_key_file": _told(
            f"the path of a file with a preshared key; {values.PAIR} stands for the two nodes",
            _text("/.*[^/]"),
        ),
    }
    return {key: fields[key] for key in DEVICE_KEYS}


def _node() -> Mapping[str, Schema]:
    route_fields = {
        "cidr": _told("the subnet", _named("cidr")),
        "tags": _told("what rules call it by", _names()),
    }
    route: Schema = {
        "anyOf": [_named("cidr"), _section(ROUTE_KEYS, route_fields, required=["cidr"])]
    }
    return {
        "public_key": _told(
            "as `krait genkey` and `wg show` print it", _text(values.PUBLIC_KEY.pattern)
        ),
        "tags": _told("what rules call it by", _names()),
        "address": _told("its addresses in the mesh", _one_or_more(_text("[0-9A-Fa-f:.]+"))),
        "routes": _told("subnets behind it", _one_or_more(route)),
        "endpoint": _told("where WireGuard reaches it: HOST:PORT", _text(".+:[0-9]+")),
        "transit": _told("whether it is a hub", {"type": "boolean"}),
        "via": _told("the hub through which it is reached", _named("name")),
        "guard": _told("as in the policy, for this node alone", {"type": "boolean"}),
        **_device(),
    }


def _multicast() -> Mapping[str, Schema]:
    addresses = _one_or_more(_text("[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?"), at_least_one=True)
    return {
        "address": _told("multicast addresses, or ranges of them", addresses),
        "tags": _told("what rules call it by, beside its name", _names()),
    }


def _policy() -> Mapping[str, Schema]:
    rule = _section(RULE_KEYS, _rule(), required=["from", "to"])
    test = _section(TEST_KEYS, _test(), required=["from", "to", "expect"])
    spans = _one_or_more(_named("span"), at_least_one=True)
    return {
        "default": _told("what happens to an open that no rule matches", _one_of(DEFAULTS)),
        "strict": _told(
            "whether a TCP connection counts only from its first packet on", {"type": "boolean"}
        ),
        "reject_ingress": _told(
            "whether peers are told too whose packets are rejected here", {"type": "boolean"}
        ),
        "guard": _told("whether other interfaces drop addresses of the mesh", {"type": "boolean"}),
        "limits": _told("what each peer may open", _section(LIMIT_KEYS, _limits())),
        "groups": _told(f"ports under a name, which rules write as {SIGN}NAME", _by_name(spans)),
        "rules": _told("who may, or may not, open what to whom", _list_of(rule)),
        "tests": _told("what must stay true", _list_of(test)),
    }


def _limits() -> Mapping[str, Schema]:
    return {
        "opens": _told("flows a second", _number(1, MAX_OPENS, or_word=UNLIMITED)),
        "burst": _told("flows at once", _number(1, MAX_OPENS)),
    }


def _rule() -> Mapping[str, Schema]:
    return {
        "name": _told(
            "what counters and explanations call it",
            _name({*values.RESERVED_NAMES, DEFAULT_RULE}),
        ),
        "from": _told("who may open", _named("selector")),
        "to": _told("to whom", _named("selector")),
        "ports": _told("left out, every protocol", _one_or_more(_named("port"), at_least_one=True)),
        "action": _told("allow, where it is left out", _one_of(ACTIONS)),
        "audit": _told("whether it never enforces", {"type": "boolean"}),
        "until": _told("when it ends by itself", _text(values.MOMENT.pattern)),
    }


def _test() -> Mapping[str, Schema]:
    return {
        "from": _told("who opens", _named("selector")),
        "to": _told("to whom", _named("selector")),
        "port": _told("left out, all or none", _named("port")),
        "expect": _told("what each of them has to get", _one_of(EXPECTED)),
    }


def _selector() -> Schema:
    members = _told("who has all of these tags", _one_or_more(_named("name"), at_least_one=True))
    both = _section(SELECTOR_KEYS, {"all": members}, required=["all"])
    return {"anyOf": [_named("name"), {"const": EVERYONE}, both]}


def _span() -> str:
    """Words of protocols, and what may follow them."""
    with_ports = [
        word
        for word, numbers in ports.PROTOCOLS.items()
        if any(ports.whole(number).high for number in numbers)
    ]
    with_echo = [
        word for word, numbers in ports.PROTOCOLS.items() if ECHO_REQUEST.keys() >= {*numbers}
    ]
    return "|".join(
        (
            *ports.PROTOCOLS,
            f"(?:{'|'.join(with_ports)})/{ports.RANGE_PATTERN}",
            f"(?:{'|'.join(with_echo)})/{ports.ECHO}",
            f"{ports.BY_NUMBER}/[0-9]+",
        )
    )


def _section(
    known: frozenset[str], fields: Mapping[str, Schema], required: Collection[str] = ()
) -> Schema:
    """A mapping with keys of its own. `fields` says of each that is known what it holds."""
    properties: Schema = {key: fields[key] for key in sorted(known)}
    needs: Schema = {"required": list(required)} if required else {}
    return {"type": "object", "properties": properties, "additionalProperties": False, **needs}


def _by_name(item: Schema, *, at_least_one: bool = False) -> Schema:
    """A mapping whose keys are names."""
    return {
        "type": "object",
        "propertyNames": _named("name"),
        "additionalProperties": item,
        **({"minProperties": 1} if at_least_one else {}),
    }


def _one_or_more(item: Schema, *, at_least_one: bool = False, at_most: int = 0) -> Schema:
    """A list, or the one value that stands without a list."""
    several = _list_of(item)
    several |= {"minItems": 1} if at_least_one else {}
    several |= {"maxItems": at_most} if at_most else {}
    return {"anyOf": [item, several]}


def _list_of(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _names() -> Schema:
    return _one_or_more(_named("name"))


def _name(taken: Collection[str]) -> Schema:
    return {**_text(values.NAME.pattern, plain=True), "not": {"enum": [*sorted(taken)]}}


def _named(definition: str) -> Schema:
    return {"$ref": f"#/$defs/{definition}"}


def _told(description: str, what: Schema) -> Schema:
    """With the words that an editor shows."""
    return {"description": description, **what}


def _text(pattern: str, *, plain: bool = False) -> Schema:
    """All of a text; `plain`: also one that YAML takes for something else than text."""
    kinds: Json = ["string", "number", "boolean"] if plain else "string"
    return {"type": kinds, "pattern": f"^(?:{pattern})$"}


def _one_of(words: tuple[str, ...]) -> Schema:
    return {"enum": list(words)}


def _number(least: int, most: int, *, or_word: str = "") -> Schema:
    """A number, or the text of one."""
    words = f"[0-9]+|{re.escape(or_word)}" if or_word else "[0-9]+"
    return {"anyOf": [{"type": "integer", "minimum": least, "maximum": most}, _text(words)]}
