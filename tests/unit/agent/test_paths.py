# SPDX-License-Identifier: Apache-2.0
"""Everything of an agent goes by its instance: a network namespace's name, and the interface's."""

from pathlib import Path

import pytest

from krait.agent.paths import Instance, Paths
from krait.common.errors import UsageError
from krait.kernel import netns
from krait.kernel.claim import claim

FILES = ("pins_of", "state_of", "kept_of", "key_of", "live_of", "lock_of", "log_of")


@pytest.mark.parametrize("what", FILES)
def test_a_namespace_with_a_name_shares_nothing_with_one_without(what: str) -> None:
    plain, blue, green = (getattr(Paths(namespace=name), what) for name in ("", "blue", "green"))
    assert len({plain("wg0"), blue("wg0"), green("wg0")}) == 3
    assert plain("wg0").stem == "wg0"
    assert blue("wg0").name == plain("wg0").name.replace("wg0", "blue:wg0")


def test_pins_have_no_dot_and_are_read_back(tmp_path: Path) -> None:
    paths = Paths(pins=tmp_path, namespace="eu.west:1 50%2e")
    place = paths.pins_of("wg0.100")
    assert "." not in place.name
    place.mkdir()
    (tmp_path / "no interface").mkdir()
    assert paths.instances() == (Instance("eu.west:1 50%2e", "wg0.100"),)
    assert paths.pins_at(paths.instances()[0]) == place


def test_what_no_interface_is_called_has_no_pins() -> None:
    with pytest.raises(UsageError):
        Paths().pins_of("blue:wg0")


def test_a_document_of_the_instance_comes_before_one_of_the_interface() -> None:
    names = [each.name for each in Paths(namespace="blue").configs_of("wg0")]
    assert names == ["blue:wg0.yaml", "wg0.yaml", "krait.yaml"]
    assert [each.name for each in Paths().configs_of("wg0")] == ["wg0.yaml", "krait.yaml"]


@pytest.fixture
def named(tmp_path: Path) -> Path:
    """A folder of names, in which this process's own namespace is called blue."""
    folder = tmp_path / "netns"
    folder.mkdir()
    (folder / "amber").touch()
    (folder / "blue").symlink_to("/proc/self/ns/net")
    return folder


def test_the_name_is_that_of_this_very_namespace(tmp_path: Path, named: Path) -> None:
    assert Paths.here(pins=tmp_path / "pins", named=named).namespace == "blue"
    (named / "blue").unlink()
    assert Paths.here(pins=tmp_path / "pins", named=named).namespace == ""
    assert Paths.here(pins=tmp_path / "pins", named=tmp_path / "nothing").namespace == ""


def test_a_name_that_came_after_krait_counts_once_krait_is_off(tmp_path: Path, named: Path) -> None:
    if netns.cookie() is None:
        pytest.skip("a kernel without cookies")
    pins = tmp_path / "pins"
    plain = Paths(pins=pins).pins_of("wg0")
    plain.mkdir(parents=True)
    assert Paths.here(pins=pins, named=named).namespace == "blue"  # it is some other's
    claim(plain)
    assert Paths.here(pins=pins, named=named).namespace == ""


@pytest.mark.parametrize("name", ["../wg0", "wg0/", "", "blue:wg0"])
def test_what_is_no_name_of_an_interface_becomes_none_of_a_file(name: str) -> None:
    paths = Paths()
    for place in (paths.key_of, paths.orders_of, paths.trial_of, paths.turn_of, paths.log_of):
        with pytest.raises(UsageError, match="is not the name of an interface"):
            place(name)
