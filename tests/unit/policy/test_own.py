# SPDX-License-Identifier: Apache-2.0
from base64 import b64decode

import pytest

from krait.common.errors import UsageError
from krait.policy.document import load
from krait.policy.model import Document
from krait.policy.own import own_node
from tests.documents import key

DB1, WEB1, NOBODYS = (b64decode(key(number)) for number in (1, 2, 9))


def document(node: str = "") -> Document:
    said = f"node: {node}\n" if node else ""
    text = (
        f"{said}nodes:\n"
        f"  db1: {{public_key: {key(1)}, transit: true}}\n"
        f"  web1: {{public_key: {key(2)}}}\n"
        "  far: {via: db1}\n"
        "policy: {}\n"
    )
    return load(text.encode(), "krait.yaml")


@pytest.mark.parametrize(
    ("asked", "said", "public_key", "hostname", "found"),
    [
        ("db1", "", None, "host", "db1"),
        (None, "db1", None, "host", "db1"),
        (None, "", DB1, "host", "db1"),
        (None, "", None, "db1", "db1"),
        (None, "", None, "DB1.example.org", "db1"),
        (None, "", WEB1, "web1", "web1"),
        ("db1", "db1", DB1, "db1", "db1"),
        ("far", "", None, "db1", "far"),
        ("far", "", NOBODYS, "db1", "far"),
    ],
)
def test_whoever_knows_says_which_node_this_is(
    asked: str | None, said: str, public_key: bytes | None, hostname: str, found: str
) -> None:
    assert own_node(document(said), asked=asked, public_key=public_key, hostname=hostname) == found


@pytest.mark.parametrize(
    ("asked", "said", "public_key"),
    [("db1", "", None), (None, "db1", None), (None, "", DB1)],
    ids=["--node", "node:", "key"],
)
def test_the_hosts_name_is_a_guess_that_contradicts_nobody(
    asked: str | None, said: str, public_key: bytes | None
) -> None:
    assert own_node(document(said), asked=asked, public_key=public_key, hostname="web1") == "db1"


@pytest.mark.parametrize(
    ("asked", "said", "public_key", "message"),
    [
        ("web1", "db1", None, "--node says web1, but `node:` says db1"),
        ("web1", "", DB1, "--node says web1, but this machine's key is that of db1"),
        (None, "web1", DB1, "`node:` says web1, but this machine's key is that of db1"),
        ("db1", "db1", WEB1, "`node:` says db1, but this machine's key is that of web1"),
    ],
)
def test_two_answers_that_contradict_each_other_are_both_told(
    asked: str | None, said: str, public_key: bytes | None, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        own_node(document(said), asked=asked, public_key=public_key, hostname="db1")
    assert caught.value.message == f"krait.yaml: {message}"


@pytest.mark.parametrize(
    ("asked", "said", "hostname"),
    [("db1", "", "host"), (None, "db1", "host"), (None, "", "db1")],
    ids=["--node", "node:", "hostname"],
)
def test_a_node_that_has_another_key_than_this_machine_is_refused(
    asked: str | None, said: str, hostname: str
) -> None:
    with pytest.raises(UsageError) as caught:
        own_node(document(said), asked=asked, public_key=NOBODYS, hostname=hostname)
    assert caught.value.message == (
        f"krait.yaml: db1 has the public key {key(1)}, but this machine's is {key(9)}"
    )


def test_a_node_that_does_not_exist_is_told_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        own_node(document(), asked="web2", public_key=DB1, hostname="db1")
    assert caught.value.message == 'krait.yaml has no node "web2"'
    assert caught.value.hint == 'did you mean "web1"?'


@pytest.mark.parametrize("public_key", [None, NOBODYS])
def test_a_machine_that_nobody_knows_is_told_how_to_be_added(public_key: bytes | None) -> None:
    with pytest.raises(UsageError) as caught:
        own_node(document(), asked=None, public_key=public_key, hostname="new.example.org")
    assert caught.value.message == 'krait.yaml: no node is called "new", as this machine is'
    assert f"--key {key(9) if public_key else 'KEY'}" in caught.value.hint
