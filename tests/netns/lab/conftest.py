# SPDX-License-Identifier: Apache-2.0
"""Machines for the tests of the lab itself."""

from collections.abc import Iterator

import pytest

from krait.lab.mesh import Lab
from krait.lab.namespace import NamespaceMachine


@pytest.fixture
def machine() -> Iterator[NamespaceMachine]:
    """One machine without a network."""
    alone = NamespaceMachine("alone")
    alone.start()
    yield alone
    alone.crash()


@pytest.fixture
def pair() -> Iterator[tuple[NamespaceMachine, NamespaceMachine]]:
    """Two machines on an underlay: 192.0.2.1 and .2, 2001:db8::1 and ::2, interface eth0."""
    with Lab() as lab:
        yield lab.add("left", on_underlay=True), lab.add("right", on_underlay=True)
