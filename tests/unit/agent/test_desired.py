# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from ipaddress import ip_network

import pytest

from krait.agent.desired import Desired, Source, desire, moved
from krait.common.errors import UsageError
from krait.policy.compile import NOBODY
from krait.policy.image import need
from krait.policy.numbering import Numbers
from krait.policy.view import Interface, Peer
from tests.unit.policy.bench import INTERFACE, ME, document

SOURCE = Source(document(), "test.yaml", "hash")
WEB_KEY, APP_KEY = bytes((2,)) * 32, bytes((3,)) * 32


def interface(**prefixes: str) -> Interface:
    """Peers a, b, c with these allowed IPs."""
    peers = tuple(
        Peer(name.encode() * 32, tuple(map(ip_network, text.split())))
        for name, text in prefixes.items()
    )
    return Interface(INTERFACE.public_key, INTERFACE.addresses, peers)


def nets(text: str) -> frozenset[object]:
    return frozenset(map(ip_network, text.split()))


def owner(desired: Desired, cidr: str) -> int | None:
    return desired.compiled.principal_of(ip_network(cidr))


def test_what_is_desired_knows_its_size_its_peers_names_and_where_it_came_from() -> None:
    found = desire(SOURCE, INTERFACE, Numbers())
    assert found.need == need(found.compiled)
    assert found.source == SOURCE
    assert {key: (who.name, who.tags) for key, who in found.peers.items()} == {
        WEB_KEY: ("web1", ("web",)),
        APP_KEY: ("app1", ("app",)),
    }


def test_what_is_odd_about_the_file_is_said_with_what_is_odd_in_it() -> None:
    odd = desire(replace(SOURCE, warnings=("it is nobody's",)), INTERFACE, Numbers())
    assert odd.warnings == ("it is nobody's", *desire(SOURCE, INTERFACE, Numbers()).warnings)


def test_those_who_have_numbers_keep_them() -> None:
    first = desire(SOURCE, INTERFACE, Numbers())
    fewer = replace(INTERFACE, peers=INTERFACE.peers[1:])
    second = desire(SOURCE, fewer, first.compiled.numbers)
    numbers = second.compiled.numbers
    assert numbers.peers == (None, *first.compiled.numbers.peers[1:])
    assert numbers.identities == first.compiled.numbers.identities


def test_equal_observations_make_equal_desires_and_another_hash_does_not() -> None:
    numbers = desire(SOURCE, INTERFACE, Numbers()).compiled.numbers
    one, other = (desire(SOURCE, INTERFACE, numbers) for _ in range(2))
    assert one == other
    assert one != desire(replace(SOURCE, sha256="edited"), INTERFACE, numbers)


def test_an_interface_that_the_document_does_not_name_is_an_error() -> None:
    with pytest.raises(UsageError, match="no node has this interface's public key"):
        desire(SOURCE, replace(INTERFACE, public_key=bytes(32)), Numbers())


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({"a": "10.8.0.2/32", "b": ""}, {"a": "", "b": "10.8.0.2/32"}, "10.8.0.2/32"),
        ({"a": "10.8.0.2/32"}, {"b": "10.8.0.2/32"}, "10.8.0.2/32"),
        # a longer prefix takes a part of another's, and gives it back
        (
            {"a": "10.8.0.0/24", "b": ""},
            {"a": "10.8.0.0/24", "b": "10.8.0.7/32"},
            "10.8.0.7/32",
        ),
        (
            {"a": "10.8.0.0/24", "b": "10.8.0.7/32"},
            {"a": "10.8.0.0/24", "b": ""},
            "10.8.0.7/32",
        ),
        # nobody had it, nobody has it, or it is the same peer's by another prefix
        ({"a": "", "b": ""}, {"a": "", "b": "10.8.0.2/32"}, ""),
        ({"a": "10.8.0.2/32"}, {"a": ""}, ""),
        ({"a": "10.8.0.0/24 10.8.0.7/32"}, {"a": "10.8.0.0/24"}, ""),
        ({"a": "fd00::/64"}, {"b": "fd00::/64"}, "fd00::/64"),
    ],
)
def test_a_prefix_has_moved_if_its_longest_match_is_another_peers(
    before: dict[str, str], now: dict[str, str], expected: str
) -> None:
    assert moved(interface(**before), interface(**now)) == nets(expected)


def test_a_withheld_prefix_is_nobodys_with_all_that_the_document_puts_inside_it() -> None:
    wide = replace(INTERFACE.peers[0], allowed_ips=(ip_network("10.20.0.0/16"),))
    seen = replace(INTERFACE, peers=(wide, *INTERFACE.peers[1:]))
    sure = desire(SOURCE, seen, Numbers())
    assert owner(sure, "10.20.0.0/24")
    withheld = desire(SOURCE, seen, Numbers(), {ip_network("10.20.0.0/16")})
    assert owner(withheld, "10.20.0.0/16") == owner(withheld, "10.20.0.0/24") == NOBODY
    assert withheld.withheld == nets("10.20.0.0/16")


def test_a_longer_prefix_that_did_not_move_is_not_withheld_with_the_one_around_it() -> None:
    seen = desire(SOURCE, INTERFACE, Numbers(), {ip_network("10.0.0.0/8")})
    assert owner(seen, "10.0.0.0/8") == NOBODY
    assert owner(seen, "10.8.0.2/32") != NOBODY
    assert owner(seen, "10.20.0.0/24") != NOBODY


def test_a_prefix_that_nobody_has_any_more_is_withheld_too() -> None:
    seen = desire(SOURCE, INTERFACE, Numbers(), {ip_network("10.8.0.99/32")})
    assert owner(seen, "10.8.0.99/32") == NOBODY


def test_an_own_address_is_never_withheld() -> None:
    seen = desire(SOURCE, INTERFACE, Numbers(), {ip_network(ME), ip_network("10.8.0.0/24")})
    assert owner(seen, f"{ME}/32") == 1
