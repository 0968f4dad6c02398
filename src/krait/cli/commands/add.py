# SPDX-License-Identifier: Apache-2.0
"""`krait add FILE NAME --key KEY`: one more node in the document that all of them share."""

import shlex
from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from pathlib import Path

from krait.cli import output
from krait.cli.files import reading
from krait.cli.output import Json, Style, paint
from krait.common.errors import ExitCode, UsageError
from krait.kernel.files import original, writing
from krait.policy import expectations, values
from krait.policy.addition import Added, add
from krait.policy.advice import Advice, advise
from krait.policy.compile import check_size
from krait.policy.newcomer import Newcomer
from krait.policy.yaml_source import MAX_BYTES


def configure(parser: ArgumentParser) -> None:
    """Tags, endpoint and addresses can be said later, too."""
    parser.add_argument("file", metavar="FILE", help="the policy document, which is changed")
    parser.add_argument("name", metavar="NAME", help="what the node is called")
    parser.add_argument(
        "--key", required=True, metavar="KEY", help="its public key, as `krait genkey` prints it"
    )
    parser.add_argument("--endpoint", metavar="HOST:PORT", help="where the others find it")
    parser.add_argument("--tags", metavar="A,B", default="", help="what rules call it by")
    parser.add_argument(
        "--address",
        metavar="A",
        action="append",
        default=[],
        help="its address (default: the next free one of each range of the mesh); may be repeated",
    )
    output.json_option(parser)


def run(options: Namespace) -> int:
    """0: the document has the node, and is right. Else it is as it was."""
    with ExitStack() as stack:
        with reading(options.file, begin="krait example --minimal"):
            old = stack.enter_context(original(Path(options.file), MAX_BYTES))
        added = _added(old.content, options)
        with writing(Path(options.file)):
            old.replace(added.data)
    if options.json:
        output.document(_report(options.file, added))
    else:
        _print(options.file, added)
    return ExitCode.OK


def _added(old: bytes, options: Namespace) -> Added:
    added = add(old, options.file, _newcomer(options))
    check_size(added.document)
    if failures := expectations.run(added.document):
        raise UsageError(
            "\n".join(failure.message for failure in failures),
            hint=f"with {added.node.name}, the document's own tests fail: nothing was written",
        )
    return added


def _newcomer(options: Namespace) -> Newcomer:
    return Newcomer(
        values.name(options.name),
        values.public_key(options.key),
        tuple(values.name(tag) for tag in options.tags.split(",") if tag),
        tuple(values.address(each) for each in options.address),
        values.endpoint(options.endpoint) if options.endpoint else None,
    )


def _print(file: str, added: Added) -> None:
    node = added.node
    addresses = ", ".join(map(str, node.addresses)) or "no address: the document has no mesh"
    output.line(
        f"{paint('added:', Style.GREEN)} {node.name}, {addresses}, in line {node.mark.line}"
    )
    for each in _advice(added):
        place = f"{file}:{each.line}:{each.column}"
        output.remark("warning", f"{place}: {each.message}", Style.YELLOW)
    interface = added.document.interface or "wg0"
    shown, place = shlex.quote(file), f"/etc/krait/{interface}.yaml"
    output.line(f"next: copy {shown} to every node, then there:")
    output.line(
        f"  sudo install -D -m 600 {shown} {shlex.quote(place)} && sudo krait up {interface}"
    )


def _advice(added: Added) -> tuple[Advice, ...]:
    """What is odd about the node."""
    line = added.node.mark.line
    return tuple(each for each in advise(added.document) if each.line == line)


def _report(file: str, added: Added) -> Json:
    node = added.node
    return {
        "file": file,
        "node": node.name,
        "line": node.mark.line,
        "addresses": [str(each) for each in node.addresses],
        "warnings": [
            {"line": each.line, "column": each.column, "message": each.message, "id": each.id}
            for each in _advice(added)
        ],
    }
