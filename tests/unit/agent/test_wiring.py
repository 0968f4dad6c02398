# SPDX-License-Identifier: Apache-2.0
"""What the device of this machine should be, by its key and the document."""

from base64 import b64encode
from pathlib import Path

import pytest

from krait.agent import key
from krait.agent.desired import Source
from krait.agent.managed.adopted import Adopted
from krait.agent.managed.orders import Orders
from krait.agent.paths import Paths
from krait.agent.wiring import wanted
from krait.common.errors import UsageError
from krait.policy.device import WantedDevice
from krait.policy.document import load

OTHER = b64encode(b"b" * 32).decode()


class Here:
    """A machine with a key."""

    def __init__(self, folder: Path) -> None:
        self._paths = Paths(state=folder)
        made, _ = key.make(self._paths.key_of("wg0"))
        self._own = b64encode(made.public).decode()

    def read(self, tags: str = "b", address: str = "10.8.0.2") -> Source:
        text = f"""
mesh: {{cidr: 10.8.0.0/24}}
nodes:
  me: {{public_key: "{self._own}", tags: a, address: 10.8.0.1}}
  you: {{public_key: "{OTHER}", tags: {tags}, address: {address}}}
policy: {{}}
"""
        return Source(load(text.encode(), "wg0.yaml"), "wg0.yaml", sha256=text)

    def wanted(
        self, found: Source, known: Adopted | None = None, node: str | None = None
    ) -> WantedDevice:
        orders = Orders("/wg0.yaml", node)
        return wanted(found, known, interface="wg0", orders=orders, paths=self._paths)

    def adopted(self) -> Adopted:
        found = self.read()
        return Adopted(found.document, self.wanted(found))


@pytest.fixture
def here(tmp_path: Path) -> Here:
    return Here(tmp_path)


def test_a_device_that_tags_alone_surround_is_the_one_that_is_known(here: Here) -> None:
    known = here.adopted()
    assert here.wanted(here.read(tags="c"), known) is known.device


def test_one_that_an_edit_changes_is_read_anew(here: Here) -> None:
    found = here.read(address="10.8.0.3")
    assert here.wanted(found, here.adopted()) == here.wanted(found) != here.adopted().device


def test_a_document_that_means_another_node_is_refused_though_one_is_known(here: Here) -> None:
    with pytest.raises(UsageError, match="you"):
        here.wanted(here.read(), here.adopted(), node="you")
