"""The check before a system is written over: no world runs on it, and nothing is in it."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from config.errors import OperatorError
from operations.schema_swap import has_rows
from streaming import keys
from streaming.lua import run
from streaming.namespace import HOLDS_ANYTHING

#: The coordinator writes its status every two seconds or so, whether anybody plays or not.
LOOK_S: Final = 6.0
POLL_S: Final = 0.25
#: How long commits are watched for: without a status shards may still live, and they commit while anything moves.
TICKS_LOOK_S: Final = 1.5


class RestoreRefused(OperatorError):
    """A world runs, or something is there that a restore would destroy; the text says what to do."""

    reason = "restore_refused"


async def refuse_unless_free(redis: Redis, engine: AsyncEngine, *, force: bool) -> bool:
    """Look at what is there; return whether a world runs (only with ``force``).

    Raises:
        RestoreRefused: something is there, and not ``force``.
    """
    runs = await world_runs(redis)
    if force:
        return runs
    refuse_if_running(runs)
    there = ["the database"] if await has_rows(engine) else []
    if await run(redis, HOLDS_ANYTHING()):
        there.append("Redis")
    if there:
        raise RestoreRefused(
            f"this system is not empty: there is something in {' and in '.join(there)}. Restore into an empty system, "
            "or give up what is there with --force."
        )
    return False


def refuse_if_running(runs: bool) -> None:
    """Refuse to go on while a world runs.  Raises ``RestoreRefused``."""
    if runs:
        raise RestoreRefused("a world runs on this system: stop it first. --force cuts it off.")


async def world_runs(redis: Redis) -> bool:
    """Return whether somebody keeps the world in this Redis going; takes some seconds when it looks like it.

    Raises ``RedisError``.
    """
    first = await _signs(redis)
    if not any(first):
        return False
    end = time.monotonic() + (LOOK_S if first[0] else TICKS_LOOK_S)
    while time.monotonic() < end:
        await asyncio.sleep(POLL_S)
        if await _signs(redis) != first:
            return True
    return False


async def _signs(redis: Redis) -> tuple[Any, ...]:
    """Return when the status runs out (on Redis' clock, None without one), and the shards' commits so far."""
    numbers = range(int(await redis.hget(keys.WORLD, "shard_count") or 0))
    pipe = redis.pipeline(transaction=True)
    pipe.pexpiretime(keys.STATUS)
    for number in numbers:
        pipe.hmget(keys.shard(number), ["epoch", "seq"])
    expires, *leases = await pipe.execute()
    return (expires if expires > 0 else None, *(tuple(lease) for lease in leases if any(lease)))
