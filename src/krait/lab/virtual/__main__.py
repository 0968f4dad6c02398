# SPDX-License-Identifier: Apache-2.0
"""One command in a virtual machine: `python -m krait.lab.virtual SERIES COMMAND…`.

Its outputs and its exit code are the command's; one argument alone goes to the shell. `--console`
shows what the guest's kernel says, too. KRAIT_TIMEOUT_SCALE tells the command how slow a guest is.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from krait.common.errors import KraitError
from krait.lab.machine import Command, Process, patient
from krait.lab.virtual.kernels import CACHE, SERIES, obtain
from krait.lab.virtual.machine import VirtualMachine
from krait.lab.virtual.qemu import Board, slowness

_LOOK_S = 0.05


def main(arguments: Sequence[str]) -> int:
    """Boot, run, end; the exit code of the command."""
    parser = argparse.ArgumentParser(
        prog="./just vm", description="Run a command in a virtual machine with an older kernel."
    )
    parser.add_argument("series", choices=SERIES, help="the kernel")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="and its arguments")
    parser.add_argument("--memory", type=int, default=1024, metavar="MIB")
    parser.add_argument("--processors", type=int, default=1, metavar="N")
    parser.add_argument("--console", action="store_true", help="show what the guest's kernel says")
    parser.add_argument("--kernels", type=Path, default=CACHE, metavar="FOLDER")
    asked = parser.parse_args(arguments)
    command: Command = asked.command[0] if len(asked.command) == 1 else asked.command
    if not command:
        parser.error("no command; `./just vm 6.12 krait demo --matrix`, for example")
    try:
        board = Board(asked.memory, asked.processors)
        machine = VirtualMachine("guest", obtain(asked.series, asked.kernels), board=board)
        try:
            machine.start()
            os.environ["KRAIT_TIMEOUT_SCALE"] = str(patient(slowness(machine.kernel)))
            return _follow(machine.spawn(command))
        finally:
            if asked.console:
                sys.stderr.write(machine.console)
            machine.crash()
    except KraitError as error:
        sys.stderr.write(f"{error}\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        return int(error.exit_code)
    except KeyboardInterrupt:
        return 128 + 2


def _follow(process: Process) -> int:
    """Pass on what a command writes, as it writes it; its exit code."""
    told = [0, 0]
    running = True
    while running:
        time.sleep(_LOOK_S)
        running = process.is_running()  # asked first: what it wrote before its end counts
        outputs = (process.stdout, sys.stdout), (process.stderr, sys.stderr)
        for place, (text, stream) in enumerate(outputs):
            stream.write(text[told[place] :])
            stream.flush()
            told[place] = len(text)
    code = process.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
