# SPDX-License-Identifier: Apache-2.0
"""A view that follows its document's tags is the one that is worked out anew."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from krait.common.errors import UsageError
from krait.policy.device import WantedDevice, wanted
from krait.policy.model import Document, Node
from krait.policy.retagged import retagged, wants_alike
from krait.policy.view import Interface, View, resolve
from tests.strategies.documents import mostly, rarely, rules, tags
from tests.strategies.worlds import World, worlds


@st.composite
def edited(draw: st.DrawFn, document: Document) -> Document:
    """The same with other tags, and now and then with something else that is other."""

    def node(each: Node) -> Node:
        if draw(mostly):
            each = replace(each, tags=draw(tags))
        if draw(rarely) and draw(rarely):
            each = draw(
                st.sampled_from(
                    (
                        replace(each, addresses=each.addresses[:-1]),
                        replace(each, routes=each.routes[:-1]),
                        replace(
                            each, routes=tuple(replace(r, tags=frozenset()) for r in each.routes)
                        ),
                        replace(each, name=f"{each.name}-2"),
                        replace(each, public_key=bytes(32)),
                        replace(each, via=None),
                        replace(each, transit=not each.transit),
                    )
                )
            )
        return each

    nodes = tuple(map(node, document.nodes))
    policy = document.policy
    if draw(rarely):
        policy = replace(policy, rules=draw(rules([each.name for each in document.nodes])))
    if draw(rarely) and draw(rarely):
        nodes = nodes[:-1]
    if draw(rarely) and draw(rarely):
        document = replace(document, node=nodes[-1].name)
    return replace(document, nodes=nodes, policy=policy)


def anew(document: Document, interface: Interface) -> View | None:
    try:
        return resolve(document, interface)
    except (UsageError, KeyError):  # KeyError: a hub that is gone, which no document is read with
        return None


@settings(max_examples=300, deadline=None)
@given(st.data(), worlds())
def test_it_is_as_if_worked_out_anew(data: st.DataObject, world: World) -> None:
    document = data.draw(edited(world.document))
    found = retagged(world.view, world.document, document)
    if found is not None:
        whole = anew(document, world.interface)
        assert found == whole
        assert list(found.owners.items()) == list(whole.owners.items())


@settings(max_examples=50, deadline=None)
@given(st.data(), worlds())
def test_tags_alone_are_followed(data: st.DataObject, world: World) -> None:
    nodes = tuple(replace(each, tags=data.draw(tags)) for each in world.document.nodes)
    assert retagged(world.view, world.document, replace(world.document, nodes=nodes))


@settings(max_examples=300, deadline=None)
@given(st.data(), worlds())
def test_documents_that_want_alike_want_the_same_device(data: st.DataObject, world: World) -> None:
    document = data.draw(edited(world.document))
    if wants_alike(world.document, document):
        assert devices(document) == devices(world.document)


@settings(max_examples=50, deadline=None)
@given(st.data(), worlds())
def test_tags_alone_change_no_device(data: st.DataObject, world: World) -> None:
    nodes = tuple(replace(each, tags=data.draw(tags)) for each in world.document.nodes)
    assert wants_alike(world.document, replace(world.document, nodes=nodes))


def devices(document: Document) -> dict[str, WantedDevice | str]:
    """Of each node, or why there is none."""
    return {node.name: device(document, node) for node in document.nodes}


def device(document: Document, node: Node) -> WantedDevice | str:
    try:
        return wanted(document, node.name, interface="wg0")
    except UsageError as error:
        return str(error)
