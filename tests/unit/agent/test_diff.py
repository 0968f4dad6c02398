# SPDX-License-Identifier: Apache-2.0
from copy import deepcopy
from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from krait.agent.desired import Desired
from krait.agent.diff import choose, plan
from krait.agent.steps import Attach, Commit, Detach, Drop, Load, Pin, Step, Swap, Unlink
from krait.common.abi import ABI_VERSION
from krait.kernel.hook import Hook
from krait.kernel.seat import AttachKind, Seat
from krait.policy.capacity import SMALLEST, Capacity
from krait.policy.image import EMPTY as EMPTY_IMAGE
from tests.unit.agent.world import DESIRED, EMPTY, NEW, Loaded, World, desired, generation
from tests.unit.policy.bench import AUDIT_RULE

TOO_SMALL = replace(SMALLEST, principal=1)
FULL = {(1,) * SMALLEST.ports: 0}
ROUNDS = 4
BOTH = tuple(Hook)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Whatever an agent may find, and some that it never should."""
    kind = draw(st.sampled_from(AttachKind))
    loads = {
        number: Loaded(
            generation(number, revision=draw(st.integers(1, 9)), readable=draw(st.booleans())),
            draw(st.sampled_from(["old", "older", EMPTY])),
            draw(st.sampled_from([SMALLEST, TOO_SMALL])),
            draw(st.sampled_from([{}, FULL])),
        )
        for number in range(1, draw(st.integers(1, 4)))
    }
    ifindex = draw(st.sampled_from([None, 7]))
    seats: dict[Hook, list[Seat]] = {hook: [] for hook in Hook}
    for hook in Hook if ifindex and loads else ():
        for way in draw(st.sets(st.sampled_from(AttachKind))):
            program = draw(st.sampled_from(list(loads.values()))).generation.programs[hook]
            ahead = draw(st.sampled_from([(), ("program 99",)]))
            if all(seat.program_id != program for seat in seats[hook]):
                seats[hook].append(Seat(way, program, ahead))
    severed = draw(st.sets(st.sampled_from(Hook)))
    world = World(kind, ifindex, False, loads, seats, severed)
    world.start()
    world.fresh = ifindex is not None and draw(st.booleans())
    if world.current is not None:
        world.loaded.pinned = draw(st.booleans())
    return world


def steps(world: World, *, bad_document: bool = False) -> list[Step]:
    """What an agent does from here until nothing is left to do, done to the world."""
    done: list[Step] = []
    for _ in range(ROUNDS):
        planned = plan(None if bad_document else DESIRED, world.observe(), world.kind)
        for step in planned:
            world.apply(step)
            done.append(step)
        if not planned and not world.fresh:
            return done
        world.fresh = False
    raise AssertionError(f"not settled after {ROUNDS} plans: {done}")


def check_every_prefix(world: World, done: list[Step]) -> World:
    """Fail closed after each step; hands back the world after all of them."""
    before = {hook: world.content(hook) for hook in Hook}
    permitted = frozenset({NEW, EMPTY}).union(*(each for each in before.values() if each))
    had_empty = EMPTY in permitted - {EMPTY} or any(
        each and EMPTY in each for each in before.values()
    )
    filtered = {hook for hook in Hook if before[hook]}
    for at, step in enumerate(done):
        world.apply(step)
        trace = f"after {[str(each) for each in done[: at + 1]]}"
        for hook in Hook:
            now = world.content(hook)
            if now:
                filtered.add(hook)
            assert now or hook not in filtered, f"{hook} bare {trace}"
            if now and before[hook]:
                assert now & permitted, f"{hook} judged by {now} {trace}"
            if now and not world.fresh and not had_empty:
                assert EMPTY not in now, f"{hook} cut {trace}"
    return world


@settings(max_examples=400, deadline=None)
@given(worlds(), st.booleans())
def test_after_any_prefix_nothing_passes_that_old_and_new_deny(
    world: World,
    bad_document: bool,
) -> None:
    check_every_prefix(deepcopy(world), steps(deepcopy(world), bad_document=bad_document))


@settings(max_examples=400, deadline=None)
@given(worlds(), st.integers(0, 12))
def test_an_agent_that_dies_anywhere_is_followed_safely_by_the_next(
    world: World, survived: int
) -> None:
    begun = steps(deepcopy(world))[:survived]
    for step in begun:
        world.apply(step)
    world.start()
    ended = check_every_prefix(deepcopy(world), steps(deepcopy(world)))
    assert_settled(ended)


@settings(max_examples=400, deadline=None)
@given(worlds())
def test_plans_end_with_the_new_policy_on_both_hooks_and_nothing_left_over(world: World) -> None:
    steps(world)
    assert_settled(world)


@settings(max_examples=400, deadline=None)
@given(worlds(), st.booleans())
def test_a_device_that_left_is_shut_and_never_judged_by_the_new_policy(
    world: World, bad_document: bool
) -> None:
    assume(world.current is not None)
    world.gone = [world.loaded]
    done = steps(deepcopy(world), bad_document=bad_document)
    filtered = {hook for hook in Hook if world.content(hook)}
    for step in done:
        world.apply(step)
        assert world.gone[0].content != NEW, f"at {step}"
        assert all(world.content(hook) for hook in filtered), f"bare at {step}"
    assert world.gone[0].content == EMPTY
    if not bad_document:
        world.fresh = False
        assert_settled(world)


def assert_settled(world: World) -> None:
    assert plan(DESIRED, world.observe(), world.kind) == ()
    assert [number for number, each in world.loads.items() if each.pinned] == [world.current]
    assert world.loaded.pinned
    assert not world.severed
    if world.ifindex is None:
        assert world.loaded.content == EMPTY
        return
    for hook in Hook:
        (seat,) = world.seats[hook]
        assert (seat.kind, world.content(hook)) == (world.kind, frozenset({NEW}))
        assert seat.kind is AttachKind.CLSACT or not seat.ahead


@settings(max_examples=400, deadline=None)
@given(worlds())
def test_without_a_document_the_policy_in_force_stays(world: World) -> None:
    world.fresh = False
    before = {hook: world.content(hook) for hook in Hook}
    armed = world.current is not None and world.loaded.content != EMPTY
    steps(world, bad_document=True)
    if world.ifindex is not None:
        for hook in Hook:
            after = world.content(hook)
            assert after is None or NEW not in after
            assert before[hook] is None or after is not None
            assert after is not None or not armed or any(before.values())


def settled(kind: AttachKind = AttachKind.TCX, capacity: Capacity = SMALLEST) -> World:
    """An interface on which the desired policy is in force."""
    load = Loaded(generation(1, revision=3), NEW, capacity, committed=DESIRED)
    seats = {hook: [Seat(kind, load.generation.programs[hook])] for hook in Hook}
    return World(kind, 7, False, {1: load}, seats, current=1)


def kinds(world: World, wanted: Desired | None = DESIRED) -> list[type]:
    return [type(each) for each in plan(wanted, world.observe(), world.kind)]


def test_a_live_interface_is_adopted_with_its_policy_already_in_place() -> None:
    world = World(AttachKind.TCX, 7, False, {}, {hook: [] for hook in Hook})
    assert kinds(world) == [Load, Commit, Attach, Attach]


def test_waiting_for_an_interface_loads_tables_that_let_nothing_pass() -> None:
    world = World(AttachKind.TCX, None, False, {}, {hook: [] for hook in Hook})
    assert kinds(world) == [Load]
    steps(world)
    assert world.loaded.content == EMPTY


def test_an_interface_that_appears_is_shut_first_and_opened_by_the_commit() -> None:
    world = World(AttachKind.TCX, None, False, {}, {hook: [] for hook in Hook})
    steps(world)
    world.ifindex, world.fresh = 7, True
    assert plan(DESIRED, world.observe(), world.kind) == tuple(map(Attach, BOTH))
    assert [type(each) for each in steps(world)] == [Attach, Attach, Commit]


def test_the_policy_of_a_deleted_interface_does_not_greet_the_next_one() -> None:
    world = settled()
    world.ifindex, world.seats, world.severed = None, {hook: [] for hook in Hook}, set(Hook)
    assert kinds(world) == [Commit, Unlink, Unlink]
    assert plan(DESIRED, world.observe(), world.kind)[0] == Commit(EMPTY_IMAGE, None)
    world = settled()  # it was made anew before anybody looked
    world.fresh, world.seats = True, {hook: [] for hook in Hook}
    assert kinds(world) == [Commit, Attach, Attach]


def test_an_edit_that_fits_is_one_commit() -> None:
    edited = desired(("to: db, ports: [tcp/80", "to: db, ports: [tcp/81"))
    (commit,) = plan(edited, settled().observe(), AttachKind.TCX)
    assert isinstance(commit, Commit)
    assert commit.desired == edited
    assert "test.yaml" in str(commit)


def test_an_edit_that_does_not_fit_fills_new_tables_before_any_packet_reads_them() -> None:
    for world in (settled(capacity=TOO_SMALL), settled()):
        if world.loaded.capacity == SMALLEST:
            world.loaded.held, world.loaded.committed = FULL, None  # NoRoom beside the old lists
        assert kinds(world) == [Load, Commit, Swap, Swap, Drop]
        (load, *_) = plan(DESIRED, world.observe(), world.kind)
        assert isinstance(load, Load)
        assert load.go_on
        assert load.capacity.holds(DESIRED.need)


def test_tables_with_a_shadow_come_with_the_first_audit_rule_and_go_with_the_last() -> None:
    world = settled()
    tried = desired(("  rules:\n", f"  rules:\n    {AUDIT_RULE}\n"))
    assert kinds(world, tried) == [Load, Commit, Swap, Swap, Drop]
    world.loaded.capacity = replace(SMALLEST, shadow_rules=64)
    assert kinds(world) == [Load, Commit, Swap, Swap, Drop]
    (load, *_) = plan(DESIRED, world.observe(), world.kind)
    assert isinstance(load, Load)
    assert load.go_on
    assert not load.capacity.shadow_rules


def test_room_for_old_and_new_lists_is_made_at_once() -> None:
    world = settled()
    world.loaded.held, world.loaded.committed = FULL, None
    (load, *_) = plan(DESIRED, world.observe(), world.kind)
    assert isinstance(load, Load)
    assert load.capacity.ports >= SMALLEST.ports + DESIRED.need.ports


def test_a_lost_hook_is_attached_again_and_nothing_else_is_touched() -> None:
    world = settled()
    world.seats[Hook.EGRESS] = []
    assert plan(DESIRED, world.observe(), world.kind) == (Attach(Hook.EGRESS),)


def test_a_hook_of_another_load_is_swapped() -> None:
    world = settled()
    world.seats[Hook.INGRESS] = [Seat(AttachKind.TCX, 999)]
    assert plan(DESIRED, world.observe(), world.kind) == (Swap(Hook.INGRESS),)


def test_who_came_before_krait_is_overtaken_by_a_new_load_since_no_program_is_attached_twice() -> (
    None
):
    world = settled()
    (seat,) = world.seats[Hook.INGRESS]
    world.seats[Hook.INGRESS] = [replace(seat, ahead=("program 99",))]
    assert kinds(world) == [Load, Commit, Attach, Swap, Drop]


def test_clsact_behind_another_filter_stays_there() -> None:
    world = settled(AttachKind.CLSACT)
    (seat,) = world.seats[Hook.INGRESS]
    world.seats[Hook.INGRESS] = [replace(seat, ahead=("u32",))]
    assert kinds(world) == []


def test_changing_the_kind_attaches_the_new_before_it_detaches_the_old() -> None:
    world = settled(AttachKind.CLSACT)
    world.kind = AttachKind.TCX
    assert kinds(world) == [Attach, Attach, Detach, Detach]


def test_a_removed_pin_folder_is_made_again() -> None:
    world = settled()
    world.loaded.pinned = False
    assert kinds(world) == [Pin]


def test_after_a_crash_in_the_middle_of_a_growth_the_swap_is_finished() -> None:
    world = settled()
    world.loads[2] = Loaded(generation(2, revision=4), "old")
    world.seats[Hook.INGRESS] = [Seat(AttachKind.TCX, generation(2).programs[Hook.INGRESS])]
    world.start()
    assert world.current == 2
    assert kinds(world) == [Commit, Swap, Drop]
    assert kinds(world, None) == [Swap, Drop]


def test_after_a_crash_before_the_first_swap_the_unused_tables_go() -> None:
    world = settled()
    world.loads[2] = Loaded(generation(2), EMPTY)
    world.start()
    assert world.current == 1
    assert kinds(world) == [Commit, Drop]


def test_the_newest_attached_load_is_chosen_then_the_newest_revision() -> None:
    one, two = generation(1, revision=9), generation(2, revision=3)
    nothing: dict[Hook, tuple[Seat, ...]] = dict.fromkeys(Hook, ())
    assert choose((one, two), nothing) == one
    on_two = {**nothing, Hook.EGRESS: (Seat(AttachKind.TCX, two.programs[Hook.EGRESS]),)}
    assert choose((one, two), on_two) == two
    assert choose((generation(3, readable=False),), nothing) is None


def test_every_action_reads_as_an_account() -> None:
    world = settled(capacity=TOO_SMALL)
    account = "; ".join(map(str, plan(DESIRED, world.observe(), world.kind)))
    assert account == (
        "load tables for 16 principals, 16 identities, keeping flows and counters; "
        "commit test.yaml: 5 rules for 3 peers; swap the program on ingress; "
        f"swap the program on egress; remove tables {ABI_VERSION}-1"
    )
