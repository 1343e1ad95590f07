"""When the last backup was made, noted in Redis for metrics and ``chunkcrawl doctor``."""

from __future__ import annotations

from typing import Final

from redis.asyncio import Redis

#: Hash: ``at_ms`` (Redis' clock), ``directory``.
LAST_BACKUP: Final = "backup:last"


async def note(redis: Redis, directory: str) -> None:
    """Note that a backup lies whole in ``directory``.  Raises ``RedisError``."""
    seconds, micros = await redis.time()
    at_ms = seconds * 1000 + micros // 1000
    await redis.hset(LAST_BACKUP, mapping={"at_ms": str(at_ms), "directory": directory})


async def read_age(redis: Redis) -> float | None:
    """Return seconds since the last backup; None when none is known.  Raises ``RedisError``."""
    found = await redis.hget(LAST_BACKUP, "at_ms")
    if found is None:
        return None
    seconds, micros = await redis.time()
    return max(0.0, seconds + micros / 1e6 - int(found) / 1000)
