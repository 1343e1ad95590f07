"""What an operator has pinned: chunks and shards that balancing leaves alone.

A chunk's ``pinned`` in its hash is something else: a chunk that is never collected.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from cluster import graph
from config.errors import OperatorError
from streaming import keys
from streaming.connect import as_text
from world.ids import ChunkId

SHARD_PREFIX: Final = "shard-"
#: What a chunk or a shard can be called.
NAME: Final = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Pins:
    """Pinned chunks, and pinned shards by number."""

    chunks: frozenset[ChunkId] = frozenset()
    shards: frozenset[int] = frozenset()


class NothingToPin(OperatorError):
    """There is no such chunk or shard."""

    reason = "nothing_to_pin"


async def pin(redis: Redis, name: str) -> bool:
    """Pin a chunk or, as ``shard-1``, a shard; return False when it was pinned already.

    Raises:
        NothingToPin: there is no such chunk or shard.
    """
    shard = _shard_number(name)
    if NAME.fullmatch(name) is None:
        raise NothingToPin("no chunk and no shard has such a name; they are called like chunk-7 and shard-0")
    if shard is not None:
        world = await graph.read_world(redis)
        if world is None or shard >= world.shard_count:
            there = 0 if world is None else world.shard_count
            raise NothingToPin(f"there is no {name} among {there} shards: see `chunkcrawl status`")
    elif not await redis.sismember(keys.CHUNKS, name):
        raise NothingToPin(f"there is no chunk {name}, and a shard is named like shard-0")
    return bool(await redis.sadd(keys.PINS, name))


async def unpin(redis: Redis, name: str) -> bool:
    """Let a chunk or shard be balanced again; return False when it was not pinned."""
    return NAME.fullmatch(name) is not None and bool(await redis.srem(keys.PINS, name))


async def read_pins(redis: Redis) -> Pins:
    """Return all that is pinned."""
    names = [as_text(name) for name in await redis.smembers(keys.PINS)]
    shards = {name: number for name in names if (number := _shard_number(name)) is not None}
    return Pins(frozenset(ChunkId(name) for name in names if name not in shards), frozenset(shards.values()))


async def forget_collected(redis: Redis, pins: Pins, chunks: Collection[ChunkId]) -> None:
    """Drop pins of chunks that are no more; ``chunks`` are those that there are, looked up after the pins."""
    gone = sorted(pins.chunks.difference(chunks))
    if gone:
        await redis.srem(keys.PINS, *gone)


def _shard_number(name: str) -> int | None:
    digits = name.removeprefix(SHARD_PREFIX)
    return int(digits) if digits != name and digits.isascii() and digits.isdigit() and len(digits) <= 6 else None
