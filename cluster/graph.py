"""The chunk graph in Redis, changed only by scripts: making, linking, locating and collecting chunks.

Truth about a chunk's owner and neighbours is its hash ``chunk:{id}``; shards keep copies in memory and are told of
changes.  A copy may be stale for a moment, so every step that relies on it is checked again where it counts.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from cluster.chunk_dump import pairs
from cluster.stored_format import format_of, refuse_newer
from cluster.world_rules import rules_in, stored
from config.errors import ServerError
from streaming import keys
from streaming.connect import as_text
from streaming.lua import load, run
from world.ids import DIRECTIONS, OPPOSITE, ChunkId, Direction, chunk_name, shard_of
from world.rules import WorldRules

DEFAULT_WORLD_RULES: Final = WorldRules()

LOCK_TTL_MS: Final = 5_000
LOCK_POLL_S: Final = 0.02

#: What a seat in the world costs in presence when one is claimed; the gateway's regular news replace it.
CLAIM_PRESENCE_MS: Final = 60_000

INIT: Final = load("cluster/init_world.lua")
LINK: Final = load("cluster/link_neighbor.lua")
UNLOCK: Final = load("cluster/unlock_neighbor.lua")
COLLECT: Final = load("cluster/collect_chunk.lua")
LOCATE: Final = load("cluster/locate_agent.lua")
CLAIM: Final = load("cluster/claim_seat.lua")


@dataclass(frozen=True, slots=True)
class WorldInfo:
    """What is fixed for the whole world, and how many shards there are to be."""

    seed: int
    shard_count: int
    epoch_ms: int
    #: None: a world of an older version; the next start writes them.
    rules: WorldRules | None
    #: See ``cluster.stored_format``.
    format: int = 1


@dataclass(frozen=True, slots=True)
class WorldMade:
    """The world after ``init_world``."""

    info: WorldInfo
    #: What it keeps; those given when it had none.
    rules: WorldRules
    #: Whether it was there before, without rules.
    rules_added: bool


@dataclass(frozen=True, slots=True)
class Located:
    """An agent's place by its record.  ``owner``: shard of the chunk, None when the chunk is gone."""

    chunk_id: str
    here: bool
    owner: int | None
    record: bytes


class ChunkCollected(ServerError):
    """The chunk has been collected."""

    reason = "chunk_collected"


async def init_world(
    redis: Redis, *, seed: int, shard_count: int, rules: WorldRules = DEFAULT_WORLD_RULES
) -> WorldMade:
    """Make the world, its rules and chunk-0 if they are not there yet; what is there stays as it is.

    One script: of two starts at once one makes the world with all its rules, and the other is told them.

    Raises:
        NewerWorld: a newer release has written it; nothing was changed.
        ValueError: what is there is not readable.
    """
    there = await read_world(redis)
    if there is not None:
        refuse_newer(there.format)
    owner = shard_of("chunk-0", shard_count)
    call = INIT(seed=seed, shard_count=shard_count, owner=owner, rules=stored(rules).items())
    new, added, flat = await run(redis, call)
    info = _info(pairs(flat))
    return WorldMade(info, info.rules or rules, rules_added=bool(added) and not new)


async def read_world(redis: Redis) -> WorldInfo | None:
    """Return the world's fixed facts, None when no world has been made."""
    found = {as_text(name): as_text(value) for name, value in (await redis.hgetall(keys.WORLD)).items()}
    return _info(found) if "seed" in found else None


def _info(world: Mapping[str, str]) -> WorldInfo:
    return WorldInfo(
        seed=int(world["seed"]),
        shard_count=int(world["shard_count"]),
        epoch_ms=int(world["epoch_ms"]),
        rules=rules_in(world),
        format=format_of(world),
    )


async def ensure_neighbor(redis: Redis, chunk_id: str, direction: Direction) -> ChunkId:
    """Return the neighbour of ``chunk_id`` on that side, made now if there is none; one, however many ask at once.

    Raises:
        ChunkCollected: ``chunk_id`` itself has been collected.
    """
    lock = keys.neighbor_lock(chunk_id, direction)
    token = secrets.token_hex(8)
    while True:
        there = await redis.hget(keys.chunk(chunk_id), direction)
        if there is not None:
            return ChunkId(as_text(there))
        if not await redis.set(lock, token, nx=True, px=LOCK_TTL_MS):
            await asyncio.sleep(LOCK_POLL_S)
            continue
        try:
            made = await _make_neighbor(redis, chunk_id, direction, lock, token)
        finally:
            await run(redis, UNLOCK(lock=lock, token=token))
        if made is not None:
            return made


async def _make_neighbor(redis: Redis, chunk_id: str, direction: Direction, lock: str, token: str) -> ChunkId | None:
    count = int(await redis.hget(keys.WORLD, "shard_count") or 0)
    number = int(await redis.hincrby(keys.WORLD, "next_chunk", 1)) - 1
    name = chunk_name(number)
    call = LINK(
        lock=lock,
        source=chunk_id,
        direction=direction,
        opposite=OPPOSITE[direction],
        new=name,
        number=number,
        shard=shard_of(name, count),
        count=count,
        token=token,
    )
    answer = await run(redis, call)
    if answer[0] == b"gone":
        raise ChunkCollected(chunk_id)
    return None if answer[0] == b"lock" else ChunkId(answer[1].decode())


async def collect(redis: Redis, chunk_id: str, *, shard: int, epoch: int, tick: int, trace_id: str) -> list[str]:
    """Remove an empty chunk and its link; return ``["collected", neighbour, its side]`` or one word why not."""
    answer = await run(redis, COLLECT(id=chunk_id, shard=shard, epoch=epoch, least_tick=tick, trace=trace_id))
    return [word.decode() for word in answer]


def located(answer: list[bytes]) -> Located:
    """Decode the answer of ``LOCATE``."""
    chunk_id, here, owner, record = answer
    return Located(chunk_id.decode(), here == b"1", int(owner) if owner else None, record)


def entry_side(found: bytes | str | None) -> Direction | None:
    """Return the side that a chunk's hash names as its entry; None for the hall, which has none."""
    side = as_text(found) if found is not None else ""
    return next((direction for direction in DIRECTIONS if direction == side), None)


async def chunk_names(redis: Redis) -> list[ChunkId]:
    """Return the live chunks, in a stable order."""
    return sorted(ChunkId(as_text(name)) for name in await redis.smembers(keys.CHUNKS))


async def chunk_owners(redis: Redis) -> dict[ChunkId, int]:
    """Return every live chunk's present shard."""
    names = await chunk_names(redis)
    pipe = redis.pipeline(transaction=False)
    for name in names:
        pipe.hget(keys.chunk(name), "shard")
    found = zip(names, await pipe.execute(), strict=True)
    return {name: int(owner) for name, owner in found if owner is not None}


async def read_links(redis: Redis) -> dict[ChunkId, dict[Direction, ChunkId]]:
    """Return every live chunk with its neighbours by side: the graph, as spawning and the checker walk it."""
    names = await chunk_names(redis)
    pipe = redis.pipeline(transaction=False)
    for name in names:
        pipe.hmget(keys.chunk(name), [*DIRECTIONS])
    graph: dict[ChunkId, dict[Direction, ChunkId]] = {}
    for name, sides in zip(names, await pipe.execute(), strict=True):
        graph[name] = {d: ChunkId(side.decode()) for d, side in zip(DIRECTIONS, sides, strict=True) if side is not None}
    return graph
