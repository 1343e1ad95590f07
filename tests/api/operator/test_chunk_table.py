from __future__ import annotations

from redis.asyncio import Redis

from api.operator.chunk_map import ChunkMap, placed
from api.operator.chunk_table import OWNERS_S, ChunkTable, columns
from streaming import keys
from streaming.batch import RedisBatch
from tests.api.operator.status import make_up, status


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_owners_are_read_again_when_something_has_moved_or_after_a_while(redis: Redis, batch: RedisBatch) -> None:
    clock = Clock()
    table = ChunkTable(batch, clock)
    await make_up(redis, chunks=3)
    await table.refresh(status())
    assert table.cells["chunk-1"] == (1, 0, 900, 2.5, 2)
    await redis.hset(keys.chunk("chunk-1"), "shard", "0")
    clock.now = 2.0
    await table.refresh(status())
    assert table.cells["chunk-1"][0] == 1
    clock.now = 4.0
    await table.refresh(status(moving={"moved": 1}))
    assert table.cells["chunk-1"][0] == 0
    await redis.hset(keys.chunk("chunk-1"), "shard", "1")
    clock.now = 4.0 + OWNERS_S
    await table.refresh(status(moving={"moved": 1}))
    assert table.cells["chunk-1"][0] == 1


async def test_what_changed_is_told_and_what_is_gone(redis: Redis, batch: RedisBatch) -> None:
    clock = Clock()
    table = ChunkTable(batch, clock)
    await make_up(redis, chunks=3)
    await table.refresh(status())
    before = table.cells
    assert columns(before)["ids"] == list(before)
    await redis.hset(keys.POPULATION, "chunk-2", 5)
    await redis.hdel(keys.POPULATION, "chunk-0")
    clock.now = 2.0
    await table.refresh(status())
    changes = table.changes_since(before)
    assert (list(changes.changed), changes.gone) == (["chunk-2"], ["chunk-0"])
    assert columns({})["ids"] == []


async def test_each_chunk_has_a_place_by_its_links(redis: Redis, batch: RedisBatch) -> None:
    await make_up(redis, chunks=3)
    assert await ChunkMap(batch).places() == {"chunk-0": (0, 0), "chunk-1": (1, 0), "chunk-2": (2, 0)}


def test_chunks_that_no_link_leads_to_stand_below() -> None:
    none = ("", "", "", "")
    places = placed({"chunk-0": ("chunk-1", "", "", "chunk-9"), "chunk-1": none, "chunk-5": none})
    assert places == {"chunk-0": (0, 0), "chunk-1": (0, 1), "chunk-5": (0, -2)}
