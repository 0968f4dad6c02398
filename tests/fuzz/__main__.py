# SPDX-License-Identifier: Apache-2.0
"""./just fuzz [TARGET] [SECONDS]: inputs that no run of the tests has had, until one is a fault."""

import sys
import time
from random import Random, SystemRandom

from tests.fuzz.inputs import inputs, is_taken
from tests.fuzz.targets import TARGETS


def main(name: str = "all", seconds: str = "60") -> None:
    """Ends with the traceback of a fault, whose last line is the input."""
    if name not in (*TARGETS, "all"):
        sys.exit(f"no target {name}; there are: all {' '.join(TARGETS)}")
    chosen = TARGETS if name == "all" else {name: TARGETS[name]}
    seed = SystemRandom().getrandbits(32)
    for each, target in chosen.items():
        end_s, count, taken = time.monotonic() + float(seconds) / len(chosen), 0, 0
        for data in inputs(target, Random(seed)):  # noqa: S311 - not for secrets
            if time.monotonic() > end_s:
                break
            taken += is_taken(target, data)
            count += 1
        print(f"{each}: {count:,} inputs, {taken:,} of them valid, no fault (seed {seed})")  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:3])
