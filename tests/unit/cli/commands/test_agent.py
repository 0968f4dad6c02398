# SPDX-License-Identifier: Apache-2.0
from contextlib import ExitStack
from io import StringIO

from krait.cli.commands.agent import _Ending


def test_the_first_line_of_the_log_ends_what_was_said_while_waiting() -> None:
    stream, waiting, ended = StringIO(), ExitStack(), list[str]()
    waiting.callback(lambda: ended.append(stream.getvalue()))
    log = _Ending(stream, waiting)
    assert ended == []
    log.write("one\n")
    log.write("two\n")
    assert (ended, stream.getvalue()) == ([""], "one\ntwo\n")
