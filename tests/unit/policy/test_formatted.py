# SPDX-License-Identifier: Apache-2.0
"""What is formatted is the same document, with the same comments about the same things."""

from collections.abc import Callable

import pytest

from krait.common.errors import UsageError
from krait.policy import commented, formatted
from krait.policy.commented import Listing
from krait.policy.document import DOCUMENT_KEYS
from krait.policy.example import EXAMPLE
from krait.policy.formatted import DOCUMENT, MESH, NODE, POLICY, ROUTE, RULE, TEST
from krait.policy.nodes import MESH_KEYS, NODE_KEYS, ROUTE_KEYS
from krait.policy.problems import DocumentError
from krait.policy.rules import POLICY_KEYS, RULE_KEYS, TEST_KEYS
from tests.documents import key, policy

NODES = f"""\
nodes:
  db1: {{public_key: {key(1)}, tags: [db, prod]}}
  web1: {{public_key: {key(2)}, tags: [web, prod]}}
"""
REAL = commented.read
MANY = "".join(f"      - tcp/{n}\n" for n in range(1000, 1012))


def fmt(text: str) -> str:
    new = formatted.formatted(text.encode(), "krait.yaml").decode()
    assert formatted.formatted(new.encode(), "krait.yaml").decode() == new
    return new


def test_what_krait_example_prints_is_formatted() -> None:
    assert fmt(EXAMPLE) == EXAMPLE


@pytest.mark.parametrize(
    ("shape", "keys"),
    [
        (DOCUMENT, DOCUMENT_KEYS),
        (MESH, MESH_KEYS),
        (NODE, NODE_KEYS),
        (ROUTE, ROUTE_KEYS),
        (POLICY, POLICY_KEYS),
        (RULE, RULE_KEYS),
        (TEST, TEST_KEYS),
    ],
)
def test_every_key_has_its_place_in_the_order(shape: formatted.Shape, keys: frozenset[str]) -> None:
    assert len(shape.order) == len(keys)
    assert set(shape.order) == keys


CASES = {
    "keys in order, what fits in one line": (
        f"""\
policy:
    tests: []
    rules:
    - to: db
      from: web
      ports:
      - tcp/1
      name: a
nodes:
    db1:
        tags: db
        public_key: '{key(1)}'
    web1: {{tags: [ web ], public_key: "{key(2)}"}}
""",
        f"""\
nodes:
  db1: {{public_key: {key(1)}, tags: db}}
  web1: {{public_key: {key(2)}, tags: [web]}}

policy:
  rules:
    - {{name: a, from: web, to: db, ports: [tcp/1]}}
  tests: []
""",
    ),
    "what does not fit": (
        f"""\
{NODES}policy:
  rules:
    - {{name: {"a" * 50}, from: [web, prod], to: [db, prod, web1], ports: tcp/1}}
    - {{name: b, from: web, to: db, ports: [{", ".join(f"tcp/{n}" for n in range(1000, 1008))}]}}
""",
        f"""\
{NODES}policy:
  rules:
    - name: {"a" * 50}
      from: [web, prod]
      to: [db, prod, web1]
      ports: tcp/1
    - name: b
      from: web
      to: db
      ports: [{", ".join(f"tcp/{n}" for n in range(1000, 1008))}]
""",
    ),
    "a list that does not fit": (
        f"""\
{NODES}policy: {{groups: {{many: [{", ".join(f"tcp/{n}" for n in range(1000, 1008))}]}}}}
""",
        f"""\
{NODES}policy:
  groups:
    many: [{", ".join(f"tcp/{n}" for n in range(1000, 1008))}]
""",
    ),
    "a very long list": (
        f"""\
{NODES}policy: {{groups: {{many: [{", ".join(f"tcp/{n}" for n in range(1000, 1012))}]}}}}
""",
        f"""\
{NODES}policy:
  groups:
    many:
{MANY}""",
    ),
    "quotes": (
        f"""\
nodes:
  "10": {{public_key: {key(1)}, tags: ["null", 'web', "1e3", "no"]}}
  far: {{via: "hub", address: [fd00::1, 10.8.0.1]}}
  near: {{via: hub, address: "fd00::2", preshared_key_file: "/a b/{{pair}}"}}
  hub:
    public_key: "{key(2)}"
    transit: true
    routes:
    - "fd00:1::/64"
policy: {{rules: [{{from: "*", to: '10', ports: "tcp/1"}}]}}
""",
        f"""\
nodes:
  "10": {{public_key: {key(1)}, tags: ["null", web, "1e3", "no"]}}
  far: {{address: ["fd00::1", 10.8.0.1], via: hub}}
  near: {{address: "fd00::2", via: hub, preshared_key_file: "/a b/{{pair}}"}}
  hub:
    public_key: {key(2)}
    transit: true
    routes: ["fd00:1::/64"]
policy:
  rules:
    - {{from: "*", to: "10", ports: tcp/1}}
""",
    ),
    "comments in a rule": (
        f"""\
{NODES}policy:
  rules:
  - # of the first
    {{to: db, # whom
     # who
     from: web, name: a}} # behind it
  # of the second
  -
    # of its name
    name: b
    to: db
    from: web
    # at its end
  - {{name: c, from: web, to: db}} # of the third
""",
        f"""\
{NODES}policy:
  rules:
    # of the first
    # behind it
    - name: a
      # who
      from: web
      to: db  # whom
    # of the second
    # of its name
    - name: b
      from: web
      to: db
      # at its end
    - {{name: c, from: web, to: db}}  # of the third
""",
    ),
    "comments at the end of something": (
        f"""\
{NODES}  # web2: left
  #
# the rules
policy:
    rules: # none
       []
    # no tests yet
  # of the policy
# of all
""",
        f"""\
{NODES}  # web2: left
  #
# the rules
policy:
  rules: []  # none
  # no tests yet
  # of the policy
# of all
""",
    ),
    "comments of an empty list": (
        f"""\
{NODES}policy:
  tests: [
   # none
  ]
  rules: [] # at all
""",
        f"""\
{NODES}policy:
  rules: []  # at all
  # none
  tests: []
""",
    ),
    "a title": (
        f"""\
# A mesh.

# Its rules.
policy: {{}}

{NODES}""",
        f"""\
# A mesh.

{NODES}
# Its rules.
policy: {{}}
""",
    ),
    "a title, apart": (
        f"""\
# A mesh.
---  # it begins
{NODES}
policy: {{}}
...
# The end.
""",
        f"""\
# A mesh.
---
# it begins
{NODES}
policy: {{}}
# The end.
""",
    ),
    "blank lines": (
        f"""\


nodes:

  # the first


  db1: {{public_key: {key(1)}}}


  # the second
  web1: {{public_key: {key(2)}}}


policy: {{}}


""",
        f"""\
nodes:
  # the first

  db1: {{public_key: {key(1)}}}

  # the second
  web1: {{public_key: {key(2)}}}

policy: {{}}
""",
    ),
    "comments in columns": (
        f"""\
nodes:
  db1:         # one
    public_key: {key(1)}
    tags: "db" # near
    address: "10.8.0.1"        # far
policy: {{}}
""",
        f"""\
nodes:
  db1:         # one
    public_key: {key(1)}
    tags: db  # near
    address: 10.8.0.1          # far
policy: {{}}
""",
    ),
    "blocks of text and lines of DOS": (
        f"""\
\ufeffnodes:
  db1:
    public_key: >-  # folded
      {key(1)}
    # of its tags
    tags:
      - |-
        db
policy: {{}}
""".replace("\n", "\r\n"),
        f"""\
nodes:
  db1:
    public_key: {key(1)}  # folded
    # of its tags
    tags: [db]
policy: {{}}
""",
    ),
    "JSON": (
        f'{{"policy": {{}}, "nodes": {{"db1": {{"public_key": "{key(1)}"}}}}}}  # all\n',
        f"nodes:\n  db1: {{public_key: {key(1)}}}\n\npolicy: {{}}\n# all\n",
    ),
}


@pytest.mark.parametrize(("old", "new"), CASES.values(), ids=CASES)
def test_a_document_is_written_in_one_form(old: str, new: str) -> None:
    assert fmt(old) == new


def test_a_document_that_is_wrong_is_told_with_its_line() -> None:
    with pytest.raises(DocumentError, match=r"krait.yaml:4:10: unknown key"):
        fmt(policy("{rulez: []}"))


def test_anchors_and_merge_keys_are_refused_as_ever() -> None:
    with pytest.raises(DocumentError, match="an anchor"):
        fmt(policy("{rules: [&a {from: web, to: db}, {<<: *a, to: web}]}"))


def lossy(text: str) -> commented.Commented:
    """As if a node's last field were not seen."""
    read = REAL(text)
    node = read.root.entries[0].value
    assert isinstance(node, Listing)
    fields = node.entries[0].value
    assert isinstance(fields, Listing)
    del fields.entries[-1]
    return read


def careless(text: str) -> commented.Commented:
    """As if a comment were not seen."""
    read = REAL(text)
    read.root.entries[-1].beside.clear()
    return read


@pytest.mark.parametrize("fault", [lossy, careless])
def test_what_would_not_be_the_same_is_refused(
    fault: Callable[[str], commented.Commented], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commented, "read", fault)
    with pytest.raises(UsageError, match="would not be the same"):
        formatted.formatted(f"{NODES}policy: {{}}  # c\n".encode(), "krait.yaml")
