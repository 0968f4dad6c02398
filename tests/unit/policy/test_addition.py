# SPDX-License-Identifier: Apache-2.0
import re
from ipaddress import ip_address, ip_network
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from krait.common.errors import UsageError
from krait.policy.addition import add, next_free
from krait.policy.document import load
from krait.policy.example import MINIMAL
from krait.policy.formatted import formatted
from krait.policy.newcomer import Newcomer
from tests.documents import key, mesh, nodes, policy

EXAMPLE = Path(__file__).parents[3] / "examples" / "small.yaml"
KEY = bytes([7]) * 32
NEW = Newcomer("new", KEY, ("web",))

LAYOUTS = {
    "block": """
nodes:
  a:
    public_key: A
    tags: [x]
»  new:
    public_key: B
    tags: [web]
«policy: {}
""",
    "indented by four, and a comment in the line": """
nodes:
    a:
        public_key: A  # the key
        tags:
        - x  # the tag
»    new:
        public_key: B
        tags: [web]
«        # no tag

# the rules
policy: {}
""",
    "apart": """
nodes:

  b:
    public_key: C
  \u0020
  a:
    public_key: A
»
  new:
    public_key: B
    tags: [web]
«

policy: {}
""",
    "a folded value": """
nodes:
  a:
    public_key: A
    tags: >-
      x
»  new:
    public_key: B
    tags: [web]
«

policy: {}
""",
    "a line each": """
nodes:
  b:
    public_key: C
  a: {public_key: A}   # the first
»  new: {public_key: B, tags: [web]}
«policy: {}
""",
    "the end of the file": """
policy: {}
nodes:
  a: {public_key: A}»
  new: {public_key: B, tags: [web]}«""",
    "in one line": """
nodes: {a: {public_key: A}», new: {public_key: B, tags: [web]}« }  # all
policy: {}
""",
    "in braces": """
nodes: {
  a: {
    public_key: A
  }»,
  new: {public_key: B, tags: [web]}«,  # a
}
policy: {}
""",
    "JSON": """
{"policy": {}, "nodes": {"a": {"public_key": "A"}», new: {public_key: B, tags: [web]}«}}
""",
    "a byte order mark and long letters": """\ufeff# ünïcödé € 🐍
nodes: {a: {public_key: A}», new: {public_key: B, tags: [web]}«}
policy: {}
""",
}
LAYOUTS["lines of DOS"] = LAYOUTS["block"].replace("\n", "\r\n")


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_node_is_put_behind_the_last_in_its_style_and_nothing_else_changes(layout: str) -> None:
    for letter, number in (("A", 1), ("B", 7), ("C", 3)):
        layout = re.sub(rf"\b{letter}\b", key(number), layout)
    before, inserted, after = re.split("[»«]", layout)
    added = add((before + after).encode(), "krait.yaml", NEW)
    assert added.data.decode() == before + inserted + after
    assert added.node.name == "new"


FIRST = {
    "no nodes": """
mesh: {cidr: 10.8.0.0/24}
policy: {}
»nodes:
  new: {public_key: B, tags: [web], address: 10.8.0.1}
«""",
    "nobody": """
mesh: {cidr: 10.8.0.0/24}
nodes:  # to come»
  new: {public_key: B, tags: [web], address: 10.8.0.1}«

# the rules
policy: {}
""",
    "an empty mapping": """
  nodes:< {}>   # to come»
    new: {public_key: B, tags: [web]}«
  policy: {}
""",
    "the end of the file": """
policy: {}
nodes:< ~>»
  new: {public_key: B, tags: [web]}«""",
}
FIRST["lines of DOS"] = FIRST["nobody"].replace("\n", "\r\n")


@pytest.mark.parametrize("layout", FIRST.values(), ids=FIRST.keys())
def test_the_first_node_is_put_where_nobody_is_yet(layout: str) -> None:
    layout = re.sub(r"\bB\b", key(7), layout)
    before, inserted, after = re.split("[»«]", layout)
    text = re.sub("[<>]", "", before) + after
    expected = re.sub("<.*>", "", before) + inserted + after
    added = add(text.encode(), "krait.yaml", NEW)
    assert added.data.decode() == expected
    assert [node.name for node in added.document.nodes] == ["new"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nodes: {}", "lacks `policy`"),
        ("nodes: []\npolicy: {}", "nodes: expected a mapping"),
        ("nodes: {}\nnodes: {}\npolicy: {}", 'duplicate key "nodes"'),
        ("nodes: {}\npolicy: {rules: [{from: web, to: db}]}", 'unknown tag or node "db"'),
        ("{nodes: {}}", "lacks `policy`"),
        ("{policy: {}, nodes: {}, nods: {}}", "nods"),
    ],
)
def test_a_first_node_mends_nothing_else(text: str, message: str) -> None:
    with pytest.raises(UsageError) as told:
        add(text.encode(), "krait.yaml", NEW)
    assert message in told.value.message


IN_BRACES = {
    "nobody": "{interface: wg0, nodes: {»new: {public_key: B, tags: [web]}«}, policy: {}}\n",
    "no nodes": "{policy: {}, interface: wg0», nodes: {new: {public_key: B, tags: [web]}}« }\n",
    "a comma at the end": "{policy: {}», nodes: {new: {public_key: B, tags: [web]}}«,}",
    "nothing": "{nodes:< ~>» {new: {public_key: B, tags: [web]}}«, policy: {}}",
    "no value": "{nodes:< >» {new: {public_key: B, tags: [web]}}«, policy: {}}",
    "JSON": """{
  "nodes": {»new: {public_key: B, tags: [web]}«
  },
  "policy": {}
}""",
    "comments": """
# the mesh
{
  policy: {},  # no rules
  nodes: {»new: {public_key: B, tags: [web]}«  # to come
  }
}
""",
}


@pytest.mark.parametrize("layout", IN_BRACES.values(), ids=IN_BRACES.keys())
def test_the_first_node_of_a_document_in_braces_is_put_inside_of_them(layout: str) -> None:
    layout = re.sub(r"\bB\b", key(7), layout)
    before, inserted, after = re.split("[»«]", layout)
    added = add((re.sub("[<>]", "", before) + after).encode(), "krait.yaml", NEW)
    assert added.data.decode() == re.sub("<.*>", "", before) + inserted + after
    assert [node.name for node in added.document.nodes] == ["new"]


def test_a_node_has_all_that_was_said_of_it() -> None:
    newcomer = Newcomer("new", KEY, ("web", "prod"), (), "new.example.org:51820")
    node = load(add(EXAMPLE.read_bytes(), "small.yaml", newcomer).data, "small.yaml").nodes[-1]
    assert (node.name, node.public_key, node.endpoint) == ("new", KEY, newcomer.endpoint)
    assert node.tags == {"web", "prod"}
    assert node.addresses == (ip_address("10.8.0.4"), ip_address("fd7a:6b72::4"))


@pytest.mark.parametrize("public_key", [KEY, b"\xfb" * 32])
@pytest.mark.parametrize("name", ["new", "null", "1e3"])
def test_what_is_added_has_quotes_where_fmt_has_them(public_key: bytes, name: str) -> None:
    addresses = (ip_address("10.8.0.77"), ip_address("fd7a:6b72::77"))
    newcomer = Newcomer(name, public_key, ("web", "no"), addresses, "[2001:db8::1]:51820")
    data = formatted(EXAMPLE.read_bytes(), "small.yaml")
    added = add(data, "small.yaml", newcomer).data
    assert formatted(added, "small.yaml") == added


ENDPOINTS = (None, "192.0.2.1:51820", "[2001:db8::1]:51820", "a-long-name.example.org:51820")


@pytest.mark.parametrize("order", list(permutations(ENDPOINTS)), ids=str)
def test_a_document_that_add_filled_is_in_the_form_of_fmt(order: tuple[str | None, ...]) -> None:
    data = MINIMAL.encode()
    for number, endpoint in enumerate(order, start=1):
        newcomer = Newcomer(f"n{number}", bytes([number]) * 32, ("web",), (), endpoint)
        data = add(data, "krait.yaml", newcomer).data
        assert formatted(data, "krait.yaml") == data


def test_an_address_that_is_given_stands_for_its_range_alone() -> None:
    given_address = Newcomer("new", KEY, (), (ip_address("10.8.0.77"),))
    node = add(EXAMPLE.read_bytes(), "small.yaml", given_address).node
    assert node.addresses == (ip_address("10.8.0.77"), ip_address("fd7a:6b72::4"))


def test_without_a_mesh_a_node_gets_no_address() -> None:
    assert add(policy("{}").encode(), "krait.yaml", NEW).node.addresses == ()


@pytest.mark.parametrize("name", ["null", "true", "0", "1e3", "no", "0x1f"])
def test_a_name_that_yaml_would_take_for_something_else_is_a_name(name: str) -> None:
    added = add(policy("{}").encode(), "krait.yaml", Newcomer(name, KEY))
    assert added.node.name == name


@settings(max_examples=25)
@given(st.lists(st.integers(1, 40), unique=True, min_size=1, max_size=5))
def test_many_nodes_added_one_after_the_other_share_nothing(numbers: list[int]) -> None:
    data = mesh("{cidr: [10.8.0.0/26, 'fd00::/120']}").encode()
    for number in numbers:
        data = add(data, "krait.yaml", Newcomer(f"n{number}", bytes([100 + number]) * 32)).data
    document = load(data, "krait.yaml")
    assert [node.name for node in document.nodes[3:]] == [f"n{number}" for number in numbers]
    addresses = [each for node in document.nodes for each in node.addresses]
    assert len(addresses) == len(set(addresses)) == 1 + 2 * len(numbers)


FREE = [
    ("10.8.0.0/24", "", "10.8.0.1"),
    ("10.8.0.0/24", "address: [10.8.0.1, 10.8.0.3]", "10.8.0.4"),
    ("10.8.0.0/24", "routes: [10.8.0.0/25]", "10.8.0.128"),
    ("10.8.0.0/24", "address: 10.8.0.128, routes: [10.8.0.0/25, 10.8.0.129/32]", "10.8.0.130"),
    ("10.8.0.0/24", "routes: [10.8.0.0/16]", "10.8.0.1"),
    ("10.8.0.0/30", "address: [10.8.0.1, 10.8.0.3]", None),
    ("10.8.0.0/30", "address: 10.8.0.1", None),
    ("10.8.0.2/31", "", "10.8.0.3"),
    ("10.8.0.2/32", "", None),
    ("fd00::/64", "", "fd00::1"),
    ("fd00::/64", "routes: ['fd00::/65']", "fd00:0:0:0:8000::"),
    ("fd00::/126", "address: ['fd00::1', 'fd00::2']", "fd00::3"),
]


@pytest.mark.parametrize(("cidr", "fields", "expected"), FREE)
def test_the_next_free_address_is_the_lowest_that_is_nobodys(
    cidr: str, fields: str, expected: str | None
) -> None:
    document = load(nodes(fields or "tags: [x]").encode(), "krait.yaml")
    free = next_free(document, ip_network(cidr))
    assert free == (None if expected is None else ip_address(expected))


@pytest.mark.parametrize(
    ("newcomer", "message"),
    [
        (Newcomer("db1", KEY), 'has a node "db1" already, in line 3'),
        (Newcomer("prod", KEY), 'tag "prod" is also the name of a node; rename one'),
        (Newcomer("new", bytes([1]) * 32), "it is already that of db1 in line 3"),
        (
            Newcomer("new", KEY, (), (ip_address("192.0.2.1"),)),
            "192.0.2.1 is outside the mesh",
        ),
        (
            Newcomer("new", KEY, (), (ip_address("10.8.0.2"),)),
            '"10.8.0.2" already belongs to web1',
        ),
    ],
)
def test_a_node_that_would_make_the_document_wrong_is_refused(
    newcomer: Newcomer, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        add(mesh("{cidr: 10.8.0.0/24}").encode(), "krait.yaml", newcomer)
    assert message in caught.value.message


def test_a_mesh_that_is_full_is_told() -> None:
    full = mesh("{cidr: 10.8.0.2/31}").replace("[db]", "[db], address: 10.8.0.3")
    with pytest.raises(UsageError, match="is free"):
        add(full.encode(), "krait.yaml", NEW)
