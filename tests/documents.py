# SPDX-License-Identifier: Apache-2.0
"""Small policy documents as text, each with room for the part that a test is about."""

from base64 import b64encode


def key(number: int) -> str:
    return b64encode(bytes([number]) * 32).decode()


def nodes(fields: str, *, rest: str = "") -> str:
    """A document in which db1 has these fields besides its key."""
    return (
        f"{rest}nodes:\n"
        f'  db1: {{public_key: "{key(1)}", {fields}}}\n'
        f'  web1: {{public_key: "{key(2)}", tags: [web, prod], address: 10.8.0.2}}\n'
        f'  hub: {{public_key: "{key(3)}", transit: true, routes: [10.9.0.0/16]}}\n'
        "policy: {}\n"
    )


def several(*entries: str) -> str:
    """A document of these nodes, one a line from line 2 on."""
    lines = "".join(f"  {entry}\n" for entry in entries)
    return f"nodes:\n{lines}policy: {{}}\n"


def policy(text: str) -> str:
    return (
        "nodes:\n"
        f'  db1: {{public_key: "{key(1)}", tags: [db, prod]}}\n'
        f'  web1: {{public_key: "{key(2)}", tags: [web, prod]}}\n'
        f"policy: {text}\n"
    )


def rule(fields: str) -> str:
    return policy(f"{{rules: [{{from: web, to: db}}, {{{fields}}}]}}")


def ports(text: str) -> str:
    return rule(f"from: web, to: db, ports: {text}")


def mesh(text: str) -> str:
    return nodes("tags: [db]", rest=f"mesh: {text}\n")
