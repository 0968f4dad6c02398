# SPDX-License-Identifier: Apache-2.0
"""What is said of prefixes: the longest that holds another decides, as in WireGuard's own table.

`case` and `owners`, which are references, have their own way to look.
"""

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from krait.policy.model import Network

Said = TypeVar("Said")


class Prefixes(Generic[Said]):
    """Of a mapping that does not change: it is not copied, and a mesh has many entries.

    Quick where there are few lengths, of which a mesh has a handful: only those are tried.
    """

    def __init__(self, said: Mapping[Network, Said]) -> None:
        """IPv4 and IPv6 may be mixed; neither holds anything of the other."""
        self._said = said
        lengths = sorted({(cidr.version, cidr.prefixlen) for cidr in said}, reverse=True)
        self._lengths = {v: tuple(n for of, n in lengths if of == v) for v in (4, 6)}

    def holding(self, cidr: Network) -> Iterator[Network]:
        """Those that hold all of `cidr`, itself among them; the longest first."""
        for length in self._lengths[cidr.version]:
            if length <= cidr.prefixlen:
                around = cidr.supernet(new_prefix=length)
                if around in self._said:
                    yield around

    def of(self, cidr: Network) -> Said | None:
        """What is said of the longest that holds all of `cidr`; None where none does."""
        longest = next(self.holding(cidr), None)
        return None if longest is None else self._said[longest]
