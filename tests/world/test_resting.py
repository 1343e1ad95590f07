"""Chunks that are made when something asks for them: which may wait, in which order, made once."""

from __future__ import annotations

import weakref
from typing import Any

import pytest

from tests.world.harness import TinyCluster
from world.ids import ChunkId
from world.key_frame import freeze_chunk, freeze_shard, thaw
from world.resting import ChunksMadeOnUse, rests
from world.rules import Rules
from world.shard import ShardWorld


def chunks_of(cluster: TinyCluster) -> tuple[ShardWorld, dict[str, Any]]:
    world = cluster.shards[0]
    return world, {one: freeze_chunk(world, one) for one in world.chunk_ids}


@pytest.fixture
def cluster() -> TinyCluster:
    """A hall with somebody in it, and three chunks beside it where nobody is."""
    cluster = TinyCluster()
    cluster.join("ada", 25, 25)
    for _ in range(3):
        cluster.add_chunk("S", None)
    for _ in range(3):
        cluster.run()
    return cluster


def made_of(frozen: dict[str, Any]) -> tuple[Any, list[str]]:
    """Chunks of which all rest, words in the place of those that are made, and the ids of these."""
    made: list[str] = []

    def make(one: Any) -> Any:
        made.append(one["record"]["chunk_id"])
        return f"made {one['record']['chunk_id']}"

    chunks = ChunksMadeOnUse(make)
    for one in frozen.values():
        chunks.rest(one)
    return chunks, made


def test_a_chunk_is_made_once_and_keeps_its_place(cluster: TinyCluster) -> None:
    _, frozen = chunks_of(cluster)
    chunks, made = made_of(frozen)
    names = list(frozen)
    assert (list(chunks), made, names[2] in chunks) == (names, [], True)
    assert chunks.get(ChunkId(names[2])) == chunks[ChunkId(names[2])] == f"made {names[2]}"
    assert chunks.get(ChunkId("nowhere")) is None
    assert (list(chunks), made) == (names, [names[2]])
    assert list(chunks.values()) == [f"made {name}" for name in names]
    assert [name for name, _ in chunks.items()] == names
    assert sorted(made) == sorted(names)


def test_one_that_goes_or_is_replaced_is_not_made(cluster: TinyCluster) -> None:
    _, frozen = chunks_of(cluster)
    chunks, made = made_of(frozen)
    first, second, *rest = map(ChunkId, frozen)
    del chunks[first]
    chunks[second] = "another"
    assert chunks.get(first) is None
    assert chunks[second] == "another"
    assert (list(chunks), made) == ([second, *rest], [])


def test_what_anything_happens_in_does_not_rest(cluster: TinyCluster) -> None:
    _, frozen = chunks_of(cluster)
    hall, other, *_ = frozen
    assert not rests(frozen[hall], ())
    assert rests(frozen[other], ())
    assert not rests(frozen[other], {other})
    for name, value in (("reserved", [[5, "h-1", "ada"]]), ("wanted", {"N": 3}), ("harvesters", {"n": ["ada"]})):
        assert not rests(frozen[other] | {name: value}, ())
    node = {"node_id": "n", "regen_at": 7}
    growing = frozen[other] | {"record": frozen[other]["record"] | {"nodes": [node]}}
    assert not rests(growing, ())


def test_only_what_is_looked_at_is_made(cluster: TinyCluster) -> None:
    world, frozen = chunks_of(cluster)
    thawed = thaw(Rules.from_json(world.rules.to_json()), 1, 0, freeze_shard(world), frozen, on_use=True)
    assert isinstance(thawed.state.chunks, ChunksMadeOnUse)
    resting = set(thawed.state.chunks._frozen)
    assert resting
    for one in (thawed, world):
        one.step(one.tick + 1)
        one.take()
    looked_at = next(iter(resting & set(thawed.state.chunks._frozen)))
    assert thawed.chunk_delta(looked_at) == world.chunk_delta(looked_at)
    assert looked_at not in thawed.state.chunks._frozen


@pytest.mark.parametrize("on_use", [False, True])
def test_a_world_that_nobody_has_any_more_is_freed_at_once(cluster: TinyCluster, on_use: bool) -> None:
    world, frozen = chunks_of(cluster)
    thawed = thaw(Rules.from_json(world.rules.to_json()), 1, 0, freeze_shard(world), frozen, on_use=on_use)
    thawed.step(thawed.tick + 1)
    state = weakref.ref(thawed.state)
    del thawed
    assert state() is None
