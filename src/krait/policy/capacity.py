# SPDX-License-Identifier: Apache-2.0
"""How large the tables are, which is fixed when the object is loaded, and what they grow to."""

from dataclasses import dataclass, fields, replace
from typing import Self

from krait.common.abi import PairLayout


@dataclass(frozen=True, slots=True)
class Capacity:
    """How large the tables are: entries a slot, for those that have two."""

    addr4: int
    addr6: int
    prefix4: int
    prefix6: int
    principal: int
    columns: int  # the stride of a row
    pair: int
    layout: PairLayout
    ports: int  # not by slot
    rules: int
    peers: int
    shadow_rules: int = 0  # 0: no shadow is judged, and its tables are as small as can be

    def holds(self, need: Self) -> bool:
        """Whether these tables can take what needs `need`."""
        if self.layout != need.layout or self.pair < need.pairs_in(self.columns):
            return False
        if bool(self.shadow_rules) != bool(need.shadow_rules):
            return False  # packets do not pay for a shadow that is no more
        return all(
            getattr(self, each.name) >= getattr(need, each.name)
            for each in fields(self)
            if each.name != "layout"
        )

    def pairs_in(self, columns: int) -> int:
        """How many entries the pairs take where a row has this many columns."""
        if self.layout == PairLayout.TRIANGLE:
            return self.pair
        return columns * -(-self.pair // self.columns)

    def grown(self, need: Self) -> Self:
        """Room for `need` and a quarter more, in powers of two; nothing shrinks."""
        sizes = {
            each.name: max(getattr(self, each.name), _room(getattr(need, each.name)))
            for each in fields(self)
            if each.name != "layout"
        }
        if not need.shadow_rules:
            sizes["shadow_rules"] = 0
        grown = replace(self, **sizes, layout=need.layout)
        if need.layout == PairLayout.TRIANGLE:
            return replace(grown, pair=triangle(grown.columns))
        return replace(grown, pair=need.pairs_in(grown.columns))


SMALLEST = Capacity(
    addr4=256,
    addr6=256,
    prefix4=64,
    prefix6=64,
    principal=64,
    columns=16,
    pair=128,
    layout=PairLayout.ROWS,
    ports=256,
    rules=64,
    peers=64,
)


def triangle(columns: int) -> int:
    """Pairs of so many identities, each with itself too; where the row of the next one begins."""
    return columns * (columns + 1) // 2


def _room(need: int) -> int:
    return 1 << (need + need // 4).bit_length()
