"""What is kept of chunks' moves in Redis: those under way, and the newest that were tried.

A move is written down before the shard is asked for it, and its outcome together with its end.  So whoever dies in
between leaves it under way, and who comes after it finds out by the chunk's owner what became of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import orjson
from redis.asyncio import Redis

from cluster.balance.moves import MoveRecord
from streaming import keys
from streaming.connect import as_text

#: The newest moves that are kept: as many as there may usually be while a chunk rests.
KEPT_MOST: Final = 1_000
#: How long a move may be under way before whoever has it carried out is taken for dead, or the answer for lost: longer
#: than a call may wait.
OVERDUE_MS: Final = 15_000


async def begin(redis: Redis, record: MoveRecord) -> None:
    """Write down that a move begins."""
    await redis.hset(keys.MOVES_UNDER_WAY, record.chunk_id, _dump(record))


async def end(redis: Redis, record: MoveRecord) -> None:
    """Write down what became of a move, in one step with its end."""
    pipe = redis.pipeline(transaction=True)
    pipe.hdel(keys.MOVES_UNDER_WAY, record.chunk_id)
    pipe.lpush(keys.MOVES, _dump(record))
    pipe.ltrim(keys.MOVES, 0, KEPT_MOST - 1)
    await pipe.execute()


async def read_moves(redis: Redis, most: int = KEPT_MOST) -> list[MoveRecord]:
    """Return the newest moves that were tried, the newest first; what can't be read is left out."""
    return _load(await redis.lrange(keys.MOVES, 0, most - 1))


async def read_under_way(redis: Redis) -> list[MoveRecord]:
    """Return the moves that are being carried out."""
    return _load(list((await redis.hgetall(keys.MOVES_UNDER_WAY)).values()))


async def end_overdue(redis: Redis, now_ms: int) -> tuple[list[MoveRecord], int]:
    """End moves that nobody carries out any more, each by who owns its chunk now; return them, and how many go on."""
    under_way = await read_under_way(redis)
    # One from the future was written under a clock that has been set back since.
    overdue = [record for record in under_way if not 0 <= now_ms - record.at_ms < OVERDUE_MS]
    ended = []
    for record in overdue:
        owner = await redis.hget(keys.chunk(record.chunk_id), "shard")
        moved = owner is not None and as_text(owner) == str(record.to_shard)
        ended.append(replace(record, outcome="moved" if moved else "failed", at_ms=min(record.at_ms, now_ms)))
        await end(redis, ended[-1])
    return ended, len(under_way) - len(overdue)


def _dump(record: MoveRecord) -> bytes:
    return orjson.dumps(record.to_json())


def _load(kept: Sequence[Any]) -> list[MoveRecord]:
    found = []
    for one in kept:
        try:
            found.append(MoveRecord.from_json(orjson.loads(one)))
        except (ValueError, KeyError, TypeError):
            continue
    return found
