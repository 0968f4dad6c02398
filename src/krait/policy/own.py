# SPDX-License-Identifier: Apache-2.0
"""Which node of a document this machine is, before there is an interface to ask.

One file serves every node, so that a machine has to find itself in it. Who is asked, in this order:
the command line, the document's `node:`, the key on the disk. They must not contradict each other:
a machine with another's policy, or with a key that its peers do not expect, is worse than none. The
host's name is only a guess, for when nobody knows better.
"""

import shlex
from base64 import b64encode
from collections.abc import Iterator
from itertools import pairwise

from krait.common.errors import UsageError
from krait.policy.model import Document, Node
from krait.policy.problems import quoted, suggestion


def own_node(
    document: Document, *, asked: str | None, public_key: bytes | None, hostname: str
) -> str:
    """The name of the node; `public_key` (32 bytes) is that of the key on the disk, if any.

    Raises UsageError where two answers contradict each other, or nobody has one.
    """
    answers = list(_answers(document, asked, public_key))
    for (first, why), (other, why_other) in pairwise(answers):
        if first != other:
            raise UsageError(
                f"{document.source}: {why}, but {why_other}",
                hint="correct one of them; `krait genkey IFACE` prints this machine's public key",
            )
    short = hostname.partition(".")[0].lower()
    node = _named(document, answers[0][0] if answers else short)
    if node is None:
        how = _how_to_add(document, short, public_key)
        raise UsageError(
            f"{document.source}: no node is called {quoted(short)}, as this machine is",
            hint=f"say which one it is with --node, or add it: {how}",
        )
    if public_key and node.public_key and node.public_key != public_key:
        why = f"{node.name} has the public key {_text(node.public_key)}"
        wg = document.interface or "IFACE"
        raise UsageError(
            f"{document.source}: {why}, but this machine's is {_text(public_key)}",
            hint=f"if this is {node.name}, write `public_key: {_text(public_key)}` there, or bring "
            f"its private key here (krait genkey {wg} --import FILE); if not, say who with --node",
        )
    return node.name


def _answers(
    document: Document, asked: str | None, public_key: bytes | None
) -> Iterator[tuple[str, str]]:
    """Each node that was named, and the words for who named it."""
    if asked is not None:
        if _named(document, asked) is None:
            near = suggestion(asked, {node.name for node in document.nodes})
            raise UsageError(
                f"{document.source} has no node {quoted(asked)}",
                hint=near or "name one that it has",
            )
        yield asked, f"--node says {asked}"
    if document.node is not None:
        yield document.node, f"`node:` says {document.node}"
    owner = next((n.name for n in document.nodes if n.public_key == public_key is not None), None)
    if owner is not None:
        yield owner, f"this machine's key is that of {owner}"


def _named(document: Document, name: str) -> Node | None:
    return next((node for node in document.nodes if node.name == name), None)


def _how_to_add(document: Document, name: str, public_key: bytes | None) -> str:
    words = f"krait add {shlex.quote(document.source)} {name} --key"
    if public_key is None:
        return f"krait genkey {document.interface or 'IFACE'}, then {words} KEY"
    return f"{words} {_text(public_key)}"


def _text(public_key: bytes) -> str:
    return b64encode(public_key).decode()
