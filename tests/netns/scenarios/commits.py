# SPDX-License-Identifier: Apache-2.0
"""The program that puts two policies in force in turn: `python commits.py KIND FOLDER COUNT`.

It does as an agent does, by the agent's own plan and steps, but never waits for anything to do.
The folder has the two documents, `a.yaml` and `b.yaml`; wherever one says FILLER, a port is put
that changes with each commit, so that the lists of ports move about in their table. `a` is in force
when it says `ready`. The commits begin once there is a file `go`; then it says between which two
readings of CLOCK_MONOTONIC each of them happened, `a` first. Once there is a file `mix`, it puts in
force the very thing that must never be: the one policy's identities with the other one's rules.
"""

import json
import logging
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import structlog

from krait.agent.adapters import adapters
from krait.agent.apply import Enforcement
from krait.agent.desired import Desired, Source, desire
from krait.agent.diff import plan
from krait.agent.paths import Paths
from krait.agent.steps import Commit
from krait.kernel import wireguard
from krait.kernel.datapath import Datapath
from krait.kernel.link import observe_own
from krait.kernel.seat import AttachKind
from krait.policy.document import load
from krait.policy.image import EMPTY, Image

INTERFACE = "wg0"
_FILLERS = 20  # documents, read once each


class Committer:
    """An agent without a loop."""

    def __init__(self, kind: AttachKind, folder: Path) -> None:
        paths = Paths.here()
        real = adapters(INTERFACE, paths, kind)
        link = observe_own(INTERFACE)
        assert link is not None
        device = wireguard.observe(INTERFACE, sockets=paths.sockets)
        self._interface = device.as_policy_sees_it(link.addresses)
        self._ifindex, self._kind, self._folder = link.ifindex, kind, folder
        self._enforcement = Enforcement(real.loads, real.hooks, paths.state_of(INTERFACE))
        self._enforcement.start(self._ifindex)
        self._images: list[Image] = [EMPTY, EMPTY]

    def put_in_force(self, turn: int) -> None:
        """`a` in even turns, `b` in odd ones."""
        wanted = self._desired(turn)
        observe = self._enforcement.observe
        while actions := plan(wanted, observe(self._ifindex, fresh=False), self._kind):
            for action in actions:
                self._enforcement.apply(action, self._ifindex)
                if isinstance(action, Commit):
                    self._images = [self._images[1], action.image]

    def mix(self, turn: int) -> None:
        former, latter = self._images
        arrays = {**former.arrays, "pair": latter.arrays["pair"]}
        mixture = replace(former, arrays=arrays, lists=latter.lists)
        self._enforcement.apply(Commit(mixture, self._desired(turn)), self._ifindex)

    def close(self) -> None:
        self._enforcement.close()

    def _desired(self, turn: int) -> Desired:
        source = _source(self._folder, turn % _FILLERS)
        return desire(source, self._interface, self._enforcement.numbers)


@cache
def _source(folder: Path, turn: int) -> Source:
    name = "ab"[turn % 2]
    text = (folder / f"{name}.yaml").read_text().replace("FILLER", str(20_000 + turn))
    return Source(load(text.encode(), name), name, str(turn))


def main(kind: str, folder: str, count: str) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    stores: list[tuple[int, int]] = []
    store = Datapath.commit

    def stamped(self: Datapath, slot: int, revision: int) -> None:
        before_ns = time.monotonic_ns()
        store(self, slot, revision)
        stores.append((before_ns, time.monotonic_ns()))

    Datapath.commit = stamped  # type: ignore[method-assign]
    committer = Committer(AttachKind(kind), Path(folder))
    committer.put_in_force(0)
    say("ready")
    wait_for(Path(folder) / "go")
    for turn in range(1, int(count) + 1):
        committer.put_in_force(turn)
    say(json.dumps(stores))
    wait_for(Path(folder) / "mix")
    committer.mix(int(count))
    say("mixed")
    committer.close()


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this is how a program answers


if __name__ == "__main__":
    main(*sys.argv[1:])
