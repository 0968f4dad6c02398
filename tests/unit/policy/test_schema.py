# SPDX-License-Identifier: Apache-2.0
"""The schema for editors takes what `load` takes, and finds what can be told from one place."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from krait.policy.document import load
from krait.policy.example import EXAMPLE
from krait.policy.model import Document
from krait.policy.ports import PROTOCOLS, describe
from krait.policy.problems import DocumentError, Problems
from krait.policy.schema import schema, text
from krait.policy.yaml_source import Mapping, Scalar, Tree, read
from tests.documents import key, mesh, nodes, policy, ports, rule, several
from tests.strategies.documents import SPANS
from tests.strategies.meshes import meshes
from tests.strategies.text import document_as_yaml
from tests.strategies.worlds import World, worlds

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
VALIDATOR = Draft202012Validator(schema())


def as_editors_read(data: bytes) -> Any:  # noqa: ANN401 - as json.loads
    """The values that YAML's core schema (YAML 1.2.2, 10.3.2) has for a document."""
    return _value(read(data, Problems("krait.yaml")))


def _value(tree: Tree) -> Any:  # noqa: ANN401 - as json.loads
    if isinstance(tree, Mapping):
        return {key: _value(tree.values[key]) for key in tree.keys}
    if not isinstance(tree, Scalar):
        return [_value(item) for item in tree.items]
    word = tree.text
    if not tree.plain:
        return word
    if word in {"", "~", "null", "Null", "NULL"}:
        return None
    if word.lower() in {"true", "false"} and not word.swapcase().islower():
        return word.lower() == "true"
    if re.fullmatch("[-+]?[0-9]+", word):
        return int(word)
    if re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", word):
        return float(word)
    return word


def takes(data: bytes) -> bool:
    return VALIDATOR.is_valid(as_editors_read(data))


def loads(data: bytes) -> bool:
    try:
        load(data, "krait.yaml")
    except DocumentError:
        return False
    return True


def test_the_committed_copy_is_current() -> None:
    assert (ROOT / "docs" / "krait.schema.json").read_text() == text()


def test_it_is_a_schema_of_its_dialect() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_it_takes_the_examples(file: Path) -> None:
    assert takes(file.read_bytes())


def test_it_takes_what_krait_example_prints() -> None:
    assert takes(EXAMPLE.encode())


GOOD = {
    "one of each": nodes("tags: db, address: 10.8.0.1, routes: 10.20.0.0/16"),
    "empty lists": nodes("tags: [], address: [], routes: []"),
    "numbers, words of YAML and hexadecimal as names": (
        several(
            f"1: {{public_key: {key(1)}, tags: [7, true, 1e3, 0x1f, no, 'null']}}",
        ).replace("{}", "{rules: [{name: 3, from: [7, true], to: {all: [1e3, no]}}]}")
    ),
    "numbers in quotes": mesh('{cidr: 10.8.0.0/24, listen_port: "51820", mtu: "1420"}'),
    "a keepalive that is off": nodes("keepalive: off"),
    "a version": f"version: 1\n{policy('{}')}",
    "a version in quotes": f'version: "1"\n{policy("{}")}',
    "an interface that is a number": f"interface: 0\n{policy('{}')}",
    "a node without a key": several(
        f"hub: {{public_key: {key(1)}, transit: true}}", "far: {via: hub}"
    ),
    "everyone": rule('from: "*", to: [web, "*", {all: db}]'),
    "groups": policy(
        "{groups: {web: [tcp/80, udp/1-9], dns: udp/53}, "
        "rules: [{from: web, to: db, ports: ['@web', tcp/1]}, {from: db, to: db, ports: '@dns'}], "
        "tests: [{from: web, to: db, port: '@web', expect: allow}]}"
    ),
    "no groups": policy("{groups: {}, rules: [], tests: []}"),
}


@pytest.mark.parametrize("document", GOOD.values(), ids=GOOD)
def test_it_takes_every_way_to_write_a_value(document: str) -> None:
    assert loads(document.encode())
    assert takes(document.encode())


WRITTEN = [
    "icmp/echo",
    "icmp4/13",
    "icmp6/130-132",
    "sctp/2905",
    "ip/047",
    *PROTOCOLS,
    *(describe(span.protocol, span.low, span.high) for span in SPANS),
]


@pytest.mark.parametrize("port", WRITTEN)
def test_it_takes_every_protocol_and_the_ports_of_those_that_have_them(port: str) -> None:
    assert takes(ports(port).encode())


@given(worlds().map(lambda world: world.document) | meshes())
def test_it_takes_any_document(document: Document) -> None:
    assert takes(document_as_yaml(document))


ODD = (None, True, 0, 7, 1.5, "", "x", "*", "@web", "tcp/80", "web1", "10.8.0.1", "10.8.0.0/24")
odd = st.recursive(
    st.sampled_from(ODD),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(("all", "cidr", "x", "tags")), inner, max_size=2)
    ),
    max_leaves=3,
)


@st.composite
def damaged(draw: st.DrawFn, document: Document) -> bytes:
    """Of the document some value is another, or gone, or a key is new."""
    root = json.loads(document_as_yaml(document))
    here = root
    while True:
        place = draw(st.sampled_from(list(here) if isinstance(here, dict) else range(len(here))))
        inside = here[place]
        if not isinstance(inside, dict | list) or not inside or draw(st.integers(0, 3)) == 0:
            break
        here = inside
    kind = draw(st.sampled_from(("replace", "remove", "insert")))
    if kind == "replace":
        here[place] = draw(odd)
    elif kind == "remove":
        del here[place]
    elif isinstance(here, dict):
        keys = ("node", "groups", "keepalive", "mtu", "name", "via", "ports", "address", "new")
        here[draw(st.sampled_from(keys))] = draw(odd)
    else:
        here.append(draw(odd))
    return json.dumps(root).encode()


@settings(max_examples=300)
@given(st.data(), worlds())
def test_it_never_refuses_what_is_right(data: st.DataObject, world: World) -> None:
    document = data.draw(damaged(world.document))
    assert takes(document) or not loads(document)


BAD = {
    "a list": "- a\n",
    "no policy": f"nodes: {{db1: {{public_key: {key(1)}}}}}\n",
    "no nodes": "policy: {}\n",
    "nobody": "nodes: {}\npolicy: {}\n",
    "an unknown section": f"{policy('{}')}polcy: {{}}\n",
    "another version": f"version: 2\n{policy('{}')}",
    "a long interface name": f"interface: wireguard-to-berlin\n{policy('{}')}",
    "an interface named ..": f"interface: ..\n{policy('{}')}",
    "a mesh without a range": mesh("{listen_port: 1}"),
    "a mesh of no range": mesh("{cidr: []}"),
    "a range without length": mesh("{cidr: 10.8.0.0}"),
    "too many ranges": mesh(f"{{cidr: [{', '.join(f'10.{i}.0.0/24' for i in range(65))}]}}"),
    "a listen port out of range": mesh("{cidr: 10.8.0.0/24, listen_port: 65536}"),
    "listen port 0": mesh("{cidr: 10.8.0.0/24, listen_port: 0}"),
    "a small mtu": mesh("{cidr: 10.8.0.0/24, mtu: 575}"),
    "a keepalive with a unit": nodes("keepalive: 25s"),
    "a keepalive that is too long": nodes("keepalive: 65536"),
    "a node in capitals": several(f"DB1: {{public_key: {key(1)}}}"),
    "a reserved node": several(f"self: {{public_key: {key(1)}}}"),
    "a reserved tag": nodes("tags: [all]"),
    "a long name": nodes(f"tags: [{'a' * 64}]"),
    "tags that are nothing": nodes("tags: ~"),
    "a list in a list": nodes("tags: [[db]]"),
    "a node that is a word": several("db1: db"),
    "a node without a key": several("db1: {tags: [a]}"),
    "an unknown field": nodes("adress: 10.8.0.1"),
    "a short key": several("a: {public_key: AAAA}"),
    "a key whose last bits are not zero": several(f"a: {{public_key: {key(1)[:-2]}F=}}"),
    "an address with a length": nodes("address: 10.8.0.1/24"),
    "a route without its range": nodes("routes: [{tags: lan}]"),
    "an unknown field of a route": nodes("routes: [{cidr: 10.9.0.0/24, tag: lan}]"),
    "an endpoint without a port": nodes("endpoint: db.example"),
    "a relative key file": nodes("preshared_key_file: psk"),
    "a flag in words": nodes("transit: yes"),
    "a flag in quotes": nodes("transit: 'true'"),
    "an unknown key of the policy": policy("{rule: []}"),
    "an unknown default": policy("{default: drop}"),
    "rules that are no list": policy("{rules: {}}"),
    "rules that are nothing": policy("\n  rules:\n"),
    "a rule without a side": policy("{rules: [{from: web}]}"),
    "an unknown key of a rule": rule("from: web, to: db, port: tcp"),
    "a rule named default": rule("name: default, from: web, to: db"),
    "an empty selector": rule("from: [], to: db"),
    "an empty all": rule("from: {all: []}, to: db"),
    "any of": rule("from: {all: db, any: db}, to: db"),
    "a list in a selector": rule("from: [[web]], to: db"),
    "everyone in all": rule("from: {all: ['*', db]}, to: db"),
    "an address as a selector": rule("from: 10.8.0.2, to: db"),
    "a group as a selector": rule("from: '@web', to: db"),
    "an unknown action": rule("from: web, to: db, action: drop"),
    "no ports": ports("[]"),
    "a bare port": ports("22"),
    "an unknown protocol": ports("tpc/22"),
    "a port that is a word": ports("tcp/ssh"),
    "an echo of tcp": ports("tcp/echo"),
    "ports of a protocol without": ports("gre/1"),
    "a protocol without its number": ports("ip"),
    "half a range": ports("tcp/1-"),
    "a group in capitals": ports("'@Web'"),
    "an empty group": policy("{groups: {web: []}}"),
    "a group of a group": policy("{groups: {web: '@dns'}}"),
    "a group with its sign": policy("{groups: {'@web': tcp}}"),
    "a test without an answer": policy("{tests: [{from: web, to: db}]}"),
    "a test with ports": policy("{tests: [{from: web, to: db, ports: tcp, expect: deny}]}"),
    "a test of several ports": policy("{tests: [{from: web, to: db, port: [tcp], expect: deny}]}"),
}


@pytest.mark.parametrize("document", BAD.values(), ids=BAD)
def test_it_refuses_what_is_wrong_in_one_place(document: str) -> None:
    assert not loads(document.encode())
    assert not takes(document.encode())


def test_every_key_has_words_for_an_editor_to_show() -> None:
    def told(part: Any) -> Any:  # noqa: ANN401 - any part of the schema
        if isinstance(part, dict):
            yield from part.get("properties", {}).items()
        if isinstance(part, dict | list):
            for each in part.values() if isinstance(part, dict) else part:
                yield from told(each)

    found = list(told(schema()))
    assert len(found) > 30
    assert [key for key, what in found if not what.get("description")] == []
