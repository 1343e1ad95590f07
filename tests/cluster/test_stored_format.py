"""A world that a newer release has written is not taken for one's own."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from cluster import graph, stored_format
from cluster.local import LocalWorld
from cluster.stored_format import FIELD, FORMAT, NewerWorld, format_fault, format_of, raise_format
from streaming import keys


def test_a_world_without_a_number_is_of_the_first_format() -> None:
    assert format_of({}) == 1
    assert format_of({FIELD: "12"}) == 12


@pytest.mark.parametrize("found", ["", "-1", "1.5", "1" * 7, "²"])
def test_what_is_no_number_is_damaged(found: str) -> None:
    with pytest.raises(ValueError, match="format can't be"):
        format_of({FIELD: found})
    assert "format can't be" in (format_fault({FIELD: found}) or "")


def test_a_world_from_elsewhere_is_judged_by_its_format() -> None:
    assert format_fault({}) is None
    assert format_fault({FIELD: str(FORMAT)}) is None
    assert "a newer release has written this world" in (format_fault({FIELD: str(FORMAT + 1)}) or "")


async def test_an_older_release_neither_starts_a_newer_world_nor_changes_it(redis: Redis) -> None:
    async with LocalWorld(redis, shards=1):
        pass
    await redis.hset(keys.WORLD, FIELD, str(FORMAT + 1))
    before = await redis.hgetall(keys.WORLD), await redis.hgetall(keys.shard(0))
    with pytest.raises(NewerWorld, match=r"start that release again, or restore a backup from before the upgrade"):
        await graph.init_world(redis, seed=1, shard_count=4)
    world = LocalWorld(redis, shards=1)
    with pytest.raises(NewerWorld):
        await world.start_shard(0)
    await world.router.close()
    await world.batch.close()
    assert (await redis.hgetall(keys.WORLD), await redis.hgetall(keys.shard(0))) == before, (
        "the lease stays whose it is"
    )


async def test_the_format_rises_only_when_all_read_it_and_never_falls(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await graph.init_world(redis, seed=1, shard_count=2)
    await raise_format(redis, [FORMAT, FORMAT])
    assert await redis.hget(keys.WORLD, FIELD) is None, (
        "the first format is not written: the first release does not know"
    )
    monkeypatch.setattr(stored_format, "FORMAT", 3)
    for formats, expected in (([3, 1], None), ([3, 2], b"2"), ([2, 1], b"2"), ([9, 9], b"3"), ([2], b"3")):
        await raise_format(redis, formats)
        assert await redis.hget(keys.WORLD, FIELD) == expected
