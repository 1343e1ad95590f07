"""What is kept of moves: bounded, and after a kill decided by who owns the chunk."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from cluster import move_log
from cluster.balance.moves import MoveRecord
from cluster.move_log import KEPT_MOST, OVERDUE_MS
from streaming import keys

NOW = 1_700_000_000_000
BEGUN = MoveRecord(NOW, "chunk-7", 0, 1, "load", "because", "failed")


async def test_a_move_is_under_way_and_then_among_those_tried(redis: Redis) -> None:
    await move_log.begin(redis, BEGUN)
    assert await move_log.end_overdue(redis, NOW + 1) == ([], 1)
    done = replace(BEGUN, outcome="moved", pause_ms=1.5)
    await move_log.end(redis, done)
    await move_log.end(redis, replace(done, chunk_id="chunk-8"))
    assert await move_log.end_overdue(redis, NOW + 2) == ([], 0)
    assert [record.chunk_id for record in await move_log.read_moves(redis)] == ["chunk-8", "chunk-7"]
    assert (await move_log.read_moves(redis, 1))[0].pause_ms == 1.5


@pytest.mark.parametrize(("owner", "outcome"), [("1", "moved"), ("0", "failed"), ("2", "failed"), (None, "failed")])
@pytest.mark.parametrize("later_ms", [OVERDUE_MS, -1])  # long after it began; or the clock has been set back since
async def test_one_that_nobody_carries_out_any_more_is_ended_by_who_owns_its_chunk(
    redis: Redis, owner: str | None, outcome: str, later_ms: int
) -> None:
    if owner is not None:
        await redis.hset(keys.chunk("chunk-7"), "shard", owner)
    await move_log.begin(redis, BEGUN)
    assert await move_log.end_overdue(redis, NOW + min(later_ms, OVERDUE_MS - 1)) == (
        ([], 1) if later_ms > 0 else ([replace(BEGUN, outcome=outcome, at_ms=NOW - 1)], 0)
    )
    if later_ms > 0:
        assert await move_log.end_overdue(redis, NOW + later_ms) == ([replace(BEGUN, outcome=outcome)], 0)
    assert [record.outcome for record in await move_log.read_moves(redis)] == [outcome]


async def test_the_newest_are_kept_and_what_cannot_be_read_is_left_out(redis: Redis) -> None:
    pipe = redis.pipeline()
    for number in range(KEPT_MOST + 20):
        pipe.lpush(keys.MOVES, move_log._dump(replace(BEGUN, chunk_id=f"chunk-{number}")))
    await pipe.execute()
    await move_log.end(redis, BEGUN)
    assert await redis.llen(keys.MOVES) == KEPT_MOST
    for odd in (b"{", b"[]", b'{"at_ms": 1}', b"\xff"):
        await redis.lpush(keys.MOVES, odd)
    found = await move_log.read_moves(redis)
    assert found[0] == BEGUN
    assert len(found) == KEPT_MOST - 4
