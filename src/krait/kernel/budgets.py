# SPDX-License-Identifier: Apache-2.0
"""What each peer may still open, from one load's table to the next one's."""

from krait.kernel.bpf.map import Map


def hand_on(former: Map, budgets: Map) -> None:
    """Go on with what peers have left of their budgets, by their numbers, which stay theirs.

    The table is no smaller than the former. What is opened between this and the swap of the
    programs is not held against anybody.
    """
    for keys, values in former.items():
        budgets.update_batch(keys, values, len(keys) // budgets.info.key_bytes)
