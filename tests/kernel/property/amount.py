# SPDX-License-Identifier: Apache-2.0
"""How much is tried: one set of words for all tests that try random things on the kernel program.

KRAIT_PROPERTY_PACKETS asks for more packets, or for fewer on a slow machine, KRAIT_PROPERTY_SEED
for others. KRAIT_LONG=1 tries what an ordinary run leaves out. `./just test-long` sets both.
"""

import os

ENOUGH = 20_000
"""Packets, for every reason to come up."""

PACKETS = int(os.environ.get("KRAIT_PROPERTY_PACKETS", ENOUGH))
SEED = int(os.environ.get("KRAIT_PROPERTY_SEED", "1"))
LONG = os.environ.get("KRAIT_LONG", "") == "1"
ROUND = 10
"""Scenarios with one seed. Hypothesis soon varies those it has, and finds less that is new: of 40,
most mutants took ten times as many packets.
"""
