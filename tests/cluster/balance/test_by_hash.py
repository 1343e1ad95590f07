"""Without balancing: everything where the hash names, but for what is held."""

from __future__ import annotations

from cluster.balance.by_hash import HashPlanner
from cluster.balance.picture import Picture
from cluster.balance.planner import ORDERED_MOST, Held
from world.ids import ChunkId, chunk_name, shard_of

NAMES = [chunk_name(number) for number in range(24)]


def all_on_0(shard_count: int = 3) -> Picture:
    return Picture(dict.fromkeys(NAMES, 0), shard_count, {})


def found(picture: Picture, held: Held) -> dict[ChunkId, int]:
    moves = HashPlanner().plan(picture, held, 0.0)
    assert {move.why for move in moves} <= {"hash"}
    return {move.chunk_id: move.to_shard for move in moves}


def test_each_goes_where_the_hash_names() -> None:
    assert found(all_on_0(), Held()) == {name: shard_of(name, 3) for name in NAMES if shard_of(name, 3)}


def test_what_is_pinned_or_would_go_to_a_closed_shard_stays() -> None:
    pinned = {NAMES[0], NAMES[1], NAMES[2]}
    assert found(all_on_0(), Held(chunks=pinned, closed={2})) == {
        name: 1 for name in NAMES if shard_of(name, 3) == 1 and name not in pinned
    }
    assert found(all_on_0(), Held(shards={0})) == {}
    assert set(found(all_on_0(), Held(shards={1})).values()) == {2}


def test_a_shard_that_is_to_be_empty_is_emptied_and_gets_nothing_back() -> None:
    picture = Picture({name: shard_of(name, 3) for name in NAMES}, 3, {})
    held = Held(chunks=set(NAMES), leaving={1})
    moves = found(picture, held)
    assert set(moves) == {name for name in NAMES if shard_of(name, 3) == 1}
    assert set(moves.values()) == {0, 2}
    picture.owners.update(moves)
    assert found(picture, held) == {}
    assert found(picture, Held(leaving={0, 1, 2})) == {}


def test_a_round_is_bounded() -> None:
    picture = Picture({chunk_name(number): 0 for number in range(1_000)}, 7, {})
    assert len(found(picture, Held())) == ORDERED_MOST
    assert len(HashPlanner().misplaced(picture, Held())) > ORDERED_MOST
