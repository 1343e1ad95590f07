"""Writing a settled world into Redis: one transaction that empties it first.

Emptying takes everything of the old world with it: sessions, challenges, slots in flight, locks, presence, limits,
streams.  In the Redis database there must be nothing but worlds of ours; those with other names stay.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError, WatchError

from cluster.archive_stream import STATS
from cluster.world_run import RUN
from config.errors import OperatorError
from operations.world_dump import WorldDump
from streaming import keys
from streaming.lua import queue
from streaming.namespace import EMPTY

log = structlog.get_logger(__name__)

ANSWER_LOST_TRIES: Final = 20
ANSWER_LOST_PAUSE_S: Final = 0.5


class WorldThere(OperatorError):
    """Somebody has made a world meanwhile; nothing was written."""

    reason = "world_there"


async def write_world(redis: Redis, dump: WorldDump, *, over: bool = True, stay_until_ms: int | None = None) -> None:
    """Replace everything in Redis by ``dump`` (see ``operations.world_settle``), all or nothing.

    ``over`` False: only where there is no world.  ``stay_until_ms``: until then agents stand there without anybody who
    plays them; None: they leave unless somebody comes back soon.

    Raises:
        WorldThere: there is one, and not ``over``.
        RedisError, OSError: it was not done, or Redis did not come back to say so.
    """
    async with redis.pipeline(transaction=True) as pipe:
        if not over:
            await pipe.watch(keys.WORLD)
            if await pipe.hexists(keys.WORLD, "seed"):
                raise WorldThere
            pipe.multi()  # type: ignore[no-untyped-call]
        queue(pipe, EMPTY())
        _put(pipe, dump)
        here = [agent_id for chunk in dump.chunks.values() for agent_id in chunk.members]
        if here and stay_until_ms is not None:
            pipe.zadd(keys.PRESENCE, dict.fromkeys(here, stay_until_ms))
        try:
            await pipe.execute()
        except WatchError:
            raise WorldThere from None
        except (RedisError, OSError) as error:
            if not await _has_run(redis, dump.world[RUN]):
                raise
            log.warning("answer_lost", error=repr(error))


def _put(pipe: Pipeline, dump: WorldDump) -> None:
    _put_world(pipe, dump)
    for chunk_id, chunk in dump.chunks.items():
        pipe.hset(keys.chunk(chunk_id), mapping=_words(chunk.fields))
        pipe.sadd(keys.CHUNKS, chunk_id)
        pipe.hset(keys.POPULATION, chunk_id, str(len(chunk.members)))
        if chunk.members:
            pipe.sadd(keys.members(chunk_id), *chunk.members)
        pipe.xadd(keys.chunk_stream(chunk_id), {"m": chunk.last}, id=chunk.last_id)
    for agent_id, fields in dump.agents.items():
        pipe.hset(keys.agent(agent_id), mapping=_words(fields))


def _put_world(pipe: Pipeline, dump: WorldDump) -> None:
    pipe.hset(keys.WORLD, mapping=_words(dump.world))
    for number, fields in dump.shards.items():
        pipe.hset(keys.shard(int(number)), mapping=_words(fields))
    if dump.archived != "0-0":
        # Ids in the event log only rise, whatever the clock says.
        pipe.xadd(keys.ARCHIVE_STREAM, {"m": ""}, id=dump.archived)
        pipe.xdel(keys.ARCHIVE_STREAM, dump.archived)
        pipe.hset(STATS, "taken", "1")


def _words(mapping: dict[str, str]) -> dict[Any, Any]:
    return dict(mapping)


async def _has_run(redis: Redis, run_id: str) -> bool:
    """Return whether the transaction ran although its answer was lost."""
    for _ in range(ANSWER_LOST_TRIES):
        try:
            return await redis.hget(keys.WORLD, RUN) == run_id.encode()
        except (RedisError, OSError):
            await asyncio.sleep(ANSWER_LOST_PAUSE_S)
    return False
