"""What an operator has frozen: chunks, or the whole world.  A hash in Redis, which is the truth about it.

    cluster:frozen    chunk id, or ``world`` -> who wished it and when (JSON)

Writing a field is the commit point of freezing, taking it away that of thawing: shards look at it again and again, and
whenever they load a chunk (docs/decisions/0083).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson
from redis.asyncio import Redis

from config.errors import ServerError
from streaming import keys
from streaming.connect import as_text

#: The field that stands for all chunks; no chunk is called so.
WORLD: Final = "world"
#: Chunks that may be frozen one by one at a time; who wants more freezes the world.
FROZEN_MOST: Final = 1_000


@dataclass(frozen=True, slots=True)
class Frozen:
    """What is frozen now."""

    world: bool = False
    chunks: frozenset[str] = frozenset()

    def holds(self, chunk_id: str) -> bool:
        """Return whether this chunk is frozen, by itself or with the world."""
        return self.world or chunk_id in self.chunks


class TooMuchFrozen(ServerError):
    """``FROZEN_MOST`` chunks are frozen."""

    reason = "too_much_frozen"


async def freeze(redis: Redis, name: str, by: str, at_ms: int) -> bool:
    """Freeze a chunk or ``WORLD``; return False when it was frozen already.

    Raises:
        TooMuchFrozen: too many chunks are.
    """
    client: Any = redis
    if name != WORLD and await client.hlen(keys.FROZEN) > FROZEN_MOST:
        raise TooMuchFrozen
    return bool(await client.hsetnx(keys.FROZEN, name, orjson.dumps({"by": by, "at_ms": at_ms})))


async def thaw(redis: Redis, name: str) -> bool:
    """Let a chunk or ``WORLD`` go on; return False when it was not frozen."""
    client: Any = redis
    return bool(await client.hdel(keys.FROZEN, name))


async def read_frozen(redis: Redis) -> Frozen:
    """Return what is frozen.  Raises ``RedisError``."""
    client: Any = redis
    names = {as_text(name) for name in await client.hkeys(keys.FROZEN)}
    return Frozen(WORLD in names, frozenset(names - {WORLD}))
