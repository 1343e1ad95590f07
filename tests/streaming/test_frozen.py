from __future__ import annotations

import pytest
from redis.asyncio import Redis

from streaming import frozen
from streaming.frozen import WORLD, Frozen, TooMuchFrozen, freeze, read_frozen, thaw


async def test_what_is_frozen_is_noted_until_it_is_thawed(redis: Redis) -> None:
    assert await read_frozen(redis) == Frozen()
    assert await freeze(redis, "chunk-1", "alice", 1)
    assert not await freeze(redis, "chunk-1", "bob", 2)
    found = await read_frozen(redis)
    assert (found.holds("chunk-1"), found.holds("chunk-2")) == (True, False)
    await freeze(redis, WORLD, "alice", 1)
    assert (await read_frozen(redis)).holds("chunk-2")
    assert await thaw(redis, WORLD)
    assert not await thaw(redis, WORLD)
    assert await read_frozen(redis) == found


async def test_there_is_a_most_but_for_the_world(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen, "FROZEN_MOST", 0)
    await freeze(redis, "chunk-1", "alice", 1)
    with pytest.raises(TooMuchFrozen):
        await freeze(redis, "chunk-2", "alice", 1)
    assert await freeze(redis, WORLD, "alice", 1)
