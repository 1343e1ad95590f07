"""Single decisions of the planner; whole worlds: ``test_simulation``."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.balance.moves import ChunkMove, MoveRecord
from cluster.balance.picture import Picture
from cluster.balance.planner import (
    BUSY_FOR_S,
    BUSY_US,
    ORDERED_MOST,
    REST_S,
    SETTLE_S,
    TOGETHER_FOR_S,
    BalanceRules,
    Held,
    Planner,
    imbalance,
    too_busy,
)
from world.ids import ChunkId, chunk_name

RULES = BalanceRules(1.2, 40)
NOW = 1_000_000.0


def chunks(count: int, shard: int, first: int = 0) -> dict[ChunkId, int]:
    return {chunk_name(first + number): shard for number in range(count)}


def uneven(shards: int = 2, each: float = 50_000.0) -> Picture:
    """Shard 0 has ten chunks, the others one each."""
    owners = chunks(10, 0)
    for shard in range(1, shards):
        owners |= chunks(1, shard, first=100 + shard)
    loads = {shard: each * sum(owner == shard for owner in owners.values()) for shard in range(shards)}
    return Picture(owners, shards, loads, dict.fromkeys(owners, each))


def record(move: ChunkMove, at: float, outcome: str = "moved") -> MoveRecord:
    return MoveRecord(int(at * 1000), move.chunk_id, move.from_shard, move.to_shard, move.why, "", outcome)


def ripe(planner: Planner, picture: Picture, held: Held | None = None, now: float = NOW) -> list[ChunkMove]:
    """What is planned once the same has been seen for long enough."""
    held = held or Held()
    assert planner.plan(copy.deepcopy(picture), held, now - BUSY_FOR_S) == []
    return planner.plan(copy.deepcopy(picture), held, now)


def test_nothing_moves_before_a_shard_has_been_too_busy_for_a_while() -> None:
    planner = Planner(RULES)
    assert planner.plan(uneven(), Held(), NOW) == []
    assert planner.plan(uneven(), Held(), NOW + BUSY_FOR_S - 1) == []
    moves = planner.plan(uneven(), Held(), NOW + BUSY_FOR_S)
    assert {(move.from_shard, move.to_shard, move.why) for move in moves} == {(0, 1, "load")}
    assert len(moves) == 4  # 500 and 50 become 300 and 250
    assert moves[0].giving_us == 500_000
    assert moves[0].taking_us == 50_000
    assert moves[1].giving_us == 450_000


def test_what_was_even_in_between_is_seen_anew() -> None:
    planner = Planner(RULES)
    planner.plan(uneven(), Held(), NOW)
    planner.plan(uneven(each=1_000.0), Held(), NOW + BUSY_FOR_S - 1)
    assert planner.plan(uneven(), Held(), NOW + BUSY_FOR_S) == []


@pytest.mark.parametrize("each", [1_000.0, BUSY_US / 10])
def test_a_world_in_which_everybody_has_room_is_left_alone(each: float) -> None:
    assert ripe(Planner(RULES), uneven(each=each)) == []


def test_who_is_hurried_balances_at_once_and_once() -> None:
    planner = Planner(RULES)
    planner.hurry()
    moves = planner.plan(uneven(), Held(), NOW)
    assert {(move.from_shard, move.to_shard, move.why) for move in moves} == {(0, 1, "load")}
    assert len(moves) == 4
    assert planner.plan(uneven(), Held(), NOW + SETTLE_S) == [], "the next plan waits as ever"


def test_who_is_hurried_moves_again_what_rests_and_does_not_settle() -> None:
    planner = Planner(RULES)
    for move in ripe(planner, uneven()):
        planner.note(record(move, NOW))
    assert planner.plan(uneven(), Held(), NOW + 1) == []
    planner.hurry()
    assert len(planner.plan(uneven(), Held(), NOW + 1)) == 4


def test_who_is_hurried_leaves_what_is_pinned_and_those_who_have_room() -> None:
    planner = Planner(RULES)
    planner.hurry()
    assert planner.plan(uneven(), Held(chunks=set(chunks(10, 0))), NOW) == []
    planner.hurry()
    assert planner.plan(uneven(each=1_000.0), Held(), NOW) == []


def test_within_the_threshold_nothing_moves() -> None:
    picture = uneven()
    for name in list(picture.owners)[:4]:
        picture.move(name, 1)
    assert imbalance(picture.loads.values()) < RULES.threshold
    assert ripe(Planner(RULES), picture) == []


def test_after_moves_it_waits_until_shards_have_said_what_came_of_them() -> None:
    planner = Planner(RULES)
    for move in ripe(planner, uneven()):
        planner.note(record(move, NOW))
    assert planner.plan(uneven(), Held(), NOW + SETTLE_S - 1) == []


def test_a_chunk_that_has_moved_rests_even_over_a_restart() -> None:
    moved = [record(ChunkMove(name, 1, 0, "load"), NOW - 100) for name in list(uneven().owners)[:9]]
    [move] = ripe(Planner(RULES, moved), uneven())
    assert move.chunk_id == "chunk-9"
    assert len(ripe(Planner(RULES, moved), uneven(), now=NOW + REST_S)) == 4


def test_moves_of_a_minute_are_bounded_even_over_a_restart() -> None:
    tried = [record(ChunkMove(ChunkId(f"chunk-5{n}"), 1, 0, "load"), NOW - 30, "failed") for n in range(39)]
    assert len(ripe(Planner(RULES, tried), uneven())) == 1
    tried.append(tried[-1])
    assert ripe(Planner(RULES, tried), uneven()) == []
    assert len(ripe(Planner(RULES, tried), uneven(), now=NOW + 60)) == 4


def test_moves_that_a_clock_of_the_future_has_dated_hold_nothing_up_for_longer() -> None:
    ahead = [record(ChunkMove(name, 1, 0, "load"), NOW + 10**6) for name in uneven().owners]
    planner = Planner(RULES, ahead)
    assert planner.plan(uneven(), Held(), NOW) == []
    assert len(ripe(planner, uneven(), now=NOW + REST_S + BUSY_FOR_S)) == 4


def test_what_did_not_help_is_tried_again_only_after_longer_and_longer() -> None:
    planner, now, waits = Planner(RULES), NOW, list[float]()
    began = now
    while len(waits) < 8:
        now += 2
        moves = planner.plan(uneven(), Held(), now)  # whatever is moved, it stays as it is
        for move in moves:
            planner.note(MoveRecord(int(now * 1000), f"x-{now}", 0, 1, move.why, "", "moved"))
        if moves:
            waits.append(now - began)
            began = now
    assert waits[0] <= BUSY_FOR_S + 4
    assert waits[-1] >= 10 * BUSY_FOR_S
    assert waits == sorted(waits)


def test_a_chunk_that_is_hotter_than_all_else_comes_to_stand_alone_and_then_stays() -> None:
    hot = ChunkId("chunk-3")
    picture = uneven(3, each=20_000.0)
    picture.costs[hot] = 900_000
    picture.loads[0] += 880_000
    moved = []
    while moves := ripe(Planner(RULES), picture):
        moved += [move.chunk_id for move in moves]
        for move in moves:
            picture.move(move.chunk_id, move.to_shard)
    assert [name for name, owner in picture.owners.items() if owner == picture.owners[hot]] == [hot]
    assert len(moved) == len(set(moved))


def test_of_chunks_that_do_as_well_the_one_goes_whose_agents_go_there_anyway() -> None:
    picture = uneven()
    friend, there = ChunkId("chunk-6"), ChunkId("chunk-101")
    picture.traffic = {friend: {there: 20.0}, there: {friend: 20.0}}
    assert ripe(Planner(RULES), picture)[0].chunk_id == friend


def test_two_chunks_between_which_agents_cross_all_the_time_come_together() -> None:
    one, other = ChunkId("chunk-0"), ChunkId("chunk-1")
    traffic = {one: {other: 10.0}, other: {one: 10.0}}
    picture = Picture({one: 0, other: 1}, 2, {0: 8_000, 1: 8_000}, {one: 4_000, other: 4_000}, traffic)
    planner = Planner(RULES)
    assert planner.plan(copy.deepcopy(picture), Held(), NOW) == []
    assert planner.plan(copy.deepcopy(picture), Held(), NOW + TOGETHER_FOR_S - 1) == []
    [move] = planner.plan(copy.deepcopy(picture), Held(), NOW + TOGETHER_FOR_S)
    assert (move.why, move.from_shard != move.to_shard) == ("traffic", True)


def test_they_stay_apart_where_one_shard_would_be_too_busy_with_both() -> None:
    one, other = ChunkId("chunk-0"), ChunkId("chunk-1")
    traffic = {one: {other: 10.0}, other: {one: 10.0}}
    picture = Picture({one: 0, other: 1}, 2, {0: 600_000, 1: 600_000}, {one: 500_000, other: 500_000}, traffic)
    planner = Planner(RULES)
    for seconds in range(0, 300, 20):
        assert planner.plan(copy.deepcopy(picture), Held(), NOW + seconds) == []


def test_an_empty_world_and_one_shard_alone_have_nothing_to_move() -> None:
    assert ripe(Planner(RULES), Picture({}, 0, {})) == []
    assert ripe(Planner(RULES), Picture(chunks(9, 0), 1, {0: 900_000}, dict.fromkeys(chunks(9, 0), 100_000.0))) == []


def test_a_shard_that_is_to_be_empty_gives_everything_to_whoever_has_most_room() -> None:
    picture = Picture(chunks(5, 2), 2, {0: 300_000, 1: 280_000, 2: 50_000}, dict.fromkeys(chunks(5, 2), 10_000.0))
    moves = Planner(RULES).plan(picture, Held(leaving={2}), NOW)
    assert [move.to_shard for move in moves] == [1, 1, 0, 1, 0]
    assert picture.owners.keys() == {move.chunk_id for move in moves}


@pytest.mark.parametrize("held", [Held(leaving={2}), Held(shards={0, 1}, leaving={2})])
def test_it_is_emptied_before_anybody_has_said_what_they_carry_and_though_others_are_pinned(held: Held) -> None:
    moves = Planner(RULES).plan(Picture(chunks(ORDERED_MOST + 9, 2), 2, {}), held, NOW)
    assert len(moves) == ORDERED_MOST
    assert {move.to_shard for move in moves} == {0, 1}


def test_nobody_is_left_to_take() -> None:
    assert Planner(RULES).plan(Picture(chunks(5, 1), 2, {}), Held(closed={0}, leaving={1}), NOW) == []


def test_shards_that_are_too_busy_are_held_against_those_that_carry_no_more() -> None:
    assert too_busy({}, 1.2) == set()
    assert too_busy({0: BUSY_US}, 1.2) == set()
    assert too_busy({0: 4 * BUSY_US, 1: 2 * BUSY_US, 2: BUSY_US}, 1.2) == {0, 1}
    assert imbalance([]) == imbalance([0.0]) == 1.0


@st.composite
def pictures(draw: st.DrawFn) -> tuple[Picture, Held]:
    shards = draw(st.integers(1, 5))
    count = draw(st.integers(0, 14))
    owners = {chunk_name(n): draw(st.integers(0, shards)) for n in range(count)}  # one of a shard beyond the count
    costs = {name: draw(st.floats(0, 400_000)) for name in owners}
    loads = {
        shard: draw(st.floats(0, 50_000)) + sum(costs[name] for name, owner in owners.items() if owner == shard)
        for shard in range(shards + 1)
        if draw(st.booleans()) or draw(st.booleans())
    }
    traffic: dict[ChunkId, dict[ChunkId, float]] = {}
    anybody = st.sampled_from(list(owners)) if owners else st.nothing()
    for one, other in draw(st.lists(st.tuples(anybody, anybody), max_size=8 if owners else 0)):
        if one != other:
            rate = draw(st.floats(0, 30))
            traffic.setdefault(one, {})[other] = traffic.setdefault(other, {})[one] = rate
    some = st.frozensets(st.integers(0, shards), max_size=2)
    pinned = draw(st.frozensets(st.sampled_from(list(owners)), max_size=4)) if owners else frozenset()
    leaving = draw(some) | {shards} if draw(st.booleans()) else frozenset()
    return Picture(owners, shards, loads, costs, traffic), Held(pinned, draw(some), draw(some), leaving)


@given(pictures(), st.integers(1, 60), st.floats(1.05, 3.0))
def test_whatever_the_picture_a_plan_keeps_to_what_holds(
    drawn: tuple[Picture, Held], moves_per_minute: int, threshold: float
) -> None:
    picture, held = drawn
    rules = BalanceRules(threshold, moves_per_minute)
    planner = Planner(rules)
    planner.plan(copy.deepcopy(picture), held, NOW - max(BUSY_FOR_S, TOGETHER_FOR_S))
    now = copy.deepcopy(picture)
    moves = planner.plan(now, held, NOW)
    assert Planner(rules).plan(copy.deepcopy(picture), held, NOW) == Planner(rules).plan(
        copy.deepcopy(picture), held, NOW
    )
    again = copy.deepcopy(picture)
    assert len({move.chunk_id for move in moves}) == len(moves)
    for move in moves:
        assert again.owners[move.chunk_id] == move.from_shard != move.to_shard
        assert move.to_shard < picture.shard_count
        assert not {move.from_shard, move.to_shard} & set(held.closed)
        assert move.to_shard not in held.leaving
        if move.why == "leaving":
            assert move.from_shard in held.leaving
        else:
            assert move.chunk_id not in held.chunks
            assert not {move.from_shard, move.to_shard} & set(held.shards)
            before = again.loads[move.from_shard]
            giving, taking = again.after(move.chunk_id, move.to_shard)
            if move.why == "load":
                assert max(giving, taking) < before
            else:
                assert again.saved(move.chunk_id, move.to_shard) > 0
        for shard in (move.from_shard, move.to_shard):
            again.loads.setdefault(shard, 0.0)
        again.move(move.chunk_id, move.to_shard)
    assert again.owners == now.owners
    if any(move.why != "leaving" for move in moves):
        assert len(moves) <= moves_per_minute
