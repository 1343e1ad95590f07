"""The chunk graph in Redis, changed only by scripts: making, linking, locating and collecting chunks.

Truth about a chunk's owner and neighbours is its hash ``chunk:{id}``; shards keep copies in memory and are told of
changes.  A copy may be stale for a moment, so every step that relies on it is checked again where it counts.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from streaming import keys
from streaming.connect import text
from streaming.lua import Script
from world.ids import DIRECTIONS, OPPOSITE, ChunkId, Direction, chunk_name, shard_of

LOCK_TTL_MS = 5_000
LOCK_POLL_S = 0.02

#: What a seat in the world costs in presence when one is claimed; the gateway's regular news replace it.
CLAIM_PRESENCE_MS = 60_000

INIT = Script(
    "init_world",
    """
redis.call('HSETNX', 'world', 'seed', ARGV[1])
redis.call('HSETNX', 'world', 'shard_count', ARGV[2])
redis.call('HSETNX', 'world', 'next_chunk', 1)
local t = redis.call('TIME')
redis.call('HSETNX', 'world', 'epoch_ms', string.format('%d', t[1] * 1000 + math.floor(t[2] / 1000)))
if redis.call('SADD', 'chunks', 'chunk-0') == 1 then
  redis.call('HSET', 'chunk:chunk-0', 'number', 0, 'entry', '', 'pinned', 1, 'shard', ARGV[3])
  redis.call('HSETNX', 'population', 'chunk-0', 0)
end
return redis.call('HMGET', 'world', 'seed', 'shard_count', 'epoch_ms')
""",
)

# A new chunk and both links, in one step.  The number is drawn by the caller, because the owner follows from the name.
LINK = Script(
    "link_neighbor",
    """
local from, dir, opposite, new = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local number, shard, count, token = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local source = 'chunk:' .. from
if redis.call('EXISTS', source) == 0 then return {'gone'} end
local there = redis.call('HGET', source, dir)
if there then return {'there', there} end
if redis.call('GET', KEYS[1]) ~= token then return {'lock'} end
if redis.call('HGET', 'world', 'shard_count') ~= count then return {'lock'} end
redis.call('HSET', source, dir, new)
redis.call('HSET', 'chunk:' .. new, 'number', number, 'entry', opposite, 'pinned', 0, 'shard', shard, opposite, from)
redis.call('SADD', 'chunks', new)
redis.call('SADD', 'adopt:' .. shard, new)
redis.call('HSETNX', 'population', new, 0)
return {'made', new}
""",
)

UNLOCK = Script(
    "unlock", "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
)

# Everything that forbids the collection is checked in the same step that unlinks.
COLLECT = Script(
    "collect_chunk",
    """
local id, shard, epoch = ARGV[1], ARGV[2], ARGV[3]
local key = 'chunk:' .. id
local c = redis.call('HMGET', key, 'shard', 'pinned', 'N', 'E', 'S', 'W')
if not c[1] then return {'gone'} end
if c[1] ~= shard or redis.call('HGET', 'shard:' .. shard, 'epoch') ~= epoch then return {'fenced'} end
if c[2] == '1' then return {'pinned'} end
if redis.call('SCARD', 'members:' .. id) > 0 then return {'held'} end
if redis.call('HLEN', 'inbox:' .. id) > 0 or redis.call('HLEN', 'resv:' .. id) > 0 then return {'entering'} end
local sides, opposite = {'N', 'E', 'S', 'W'}, {'S', 'W', 'N', 'E'}
local neighbor, back = '', ''
for i = 1, 4 do
  if c[i + 2] then
    if neighbor ~= '' then return {'linked'} end
    neighbor, back = c[i + 2], opposite[i]
  end
end
if neighbor ~= '' and redis.call('HGET', 'chunk:' .. neighbor, back) == id then
  redis.call('HDEL', 'chunk:' .. neighbor, back)
end
redis.call('SREM', 'chunks', id)
redis.call('HDEL', 'population', id)
redis.call('DEL', key, 'static:' .. id, 'members:' .. id)
local stream = 'stream:chunk:' .. id
local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)
local prev = last[1] and last[1][1] or '0-0'
local tick = tonumber(string.match(prev, '^(%d+)-'))
if tonumber(ARGV[4]) > tick then tick = tonumber(ARGV[4]) else tick = tick + 1 end
local entry = string.format('%d', tick) .. '-0'
local t = redis.call('TIME')
local now = string.format('%d', t[1] * 1000 + math.floor(t[2] / 1000))
local payload = '{"chunk_id":"' .. id .. '","tick":' .. string.format('%d', tick) .. '}'
local m = prev .. ' chunk_closed ' .. now .. ' ' .. ARGV[5] .. '\\n' .. payload
redis.call('XADD', stream, entry, 'm', m)
redis.call('EXPIRE', stream, 300)
redis.call('PUBLISH', CHANNELS .. stream, entry .. ' ' .. m)
return {'collected', neighbor, back}
""",
)

# Where an agent is, and who owns that place: chunk, here, owner, record, account.
LOCATE = Script(
    "locate_agent",
    """
local a = redis.call('HMGET', KEYS[1], 'chunk', 'here', 'rec')
local owner = false
if a[1] then owner = redis.call('HGET', 'chunk:' .. a[1], 'shard') end
return {a[1] or '', a[2] or '0', owner or '', a[3] or ''}
""",
)

# Binds an agent to a chunk before it is seated there: of two that try, one wins.  Not one that stands in the world.
CLAIM = Script(
    "claim_seat",
    """
local shard = redis.call('HGET', 'chunk:' .. ARGV[2], 'shard')
if not shard then return {'gone'} end
local found = redis.call('HMGET', KEYS[1], 'chunk', 'here')
local present = found[1] or ''
if present ~= ARGV[1] then return {'moved', present} end
if found[2] == '1' and redis.call('EXISTS', 'chunk:' .. present) == 1 then return {'here'} end
redis.call('HSET', KEYS[1], 'chunk', ARGV[2])
local t = redis.call('TIME')
redis.call('ZADD', 'presence', 'GT', t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[4], ARGV[3])
return {'ok', shard}
""",
)


@dataclass(frozen=True, slots=True)
class WorldInfo:
    """What is fixed for the whole world, and how many shards there are to be."""

    seed: int
    shard_count: int
    epoch_ms: int


@dataclass(frozen=True, slots=True)
class Located:
    """An agent's place by its record.  ``owner``: shard of the chunk, None when the chunk is gone."""

    chunk_id: str
    here: bool
    owner: int | None
    record: bytes


class ChunkCollected(Exception):
    """The chunk has been collected."""


async def init_world(redis: Redis, *, seed: int, shard_count: int) -> WorldInfo:
    """Make the world and chunk-0 if they are not there yet; what is there stays as it is."""
    owner = shard_of("chunk-0", shard_count)
    return _info(await redis.eval(INIT.source, 0, str(seed), str(shard_count), str(owner)))


async def read_world(redis: Redis) -> WorldInfo | None:
    """The world's fixed facts, or None when none has been made."""
    found = await redis.hmget(keys.WORLD, ["seed", "shard_count", "epoch_ms"])
    return None if found[0] is None else _info(found)


def _info(found: Sequence[Any]) -> WorldInfo:
    return WorldInfo(seed=int(found[0]), shard_count=int(found[1]), epoch_ms=int(found[2]))


async def ensure_neighbor(redis: Redis, chunk_id: str, direction: Direction) -> ChunkId:
    """The neighbour of ``chunk_id`` on that side, made now if there is none; one, however many ask together.

    Raises:
        ChunkCollected: ``chunk_id`` itself has been collected.
    """
    lock = keys.neighbor_lock(chunk_id, direction)
    token = secrets.token_hex(8)
    while True:
        there = await redis.hget(keys.chunk(chunk_id), direction)
        if there is not None:
            return ChunkId(text(there))
        if not await redis.set(lock, token, nx=True, px=LOCK_TTL_MS):
            await asyncio.sleep(LOCK_POLL_S)
            continue
        try:
            made = await _make_neighbor(redis, chunk_id, direction, lock, token)
        finally:
            await redis.eval(UNLOCK.source, 1, lock, token)
        if made is not None:
            return made


async def _make_neighbor(redis: Redis, chunk_id: str, direction: Direction, lock: str, token: str) -> ChunkId | None:
    count = int(await redis.hget(keys.WORLD, "shard_count") or 0)
    number = int(await redis.hincrby(keys.WORLD, "next_chunk", 1)) - 1
    name = chunk_name(number)
    args = (chunk_id, direction, OPPOSITE[direction], name, number, shard_of(name, count), count, token)
    answer = await redis.eval(LINK.source, 1, lock, *(str(arg) for arg in args))
    if answer[0] == b"gone":
        raise ChunkCollected(chunk_id)
    return None if answer[0] == b"lock" else ChunkId(answer[1].decode())


async def collect(redis: Redis, chunk_id: str, *, shard: int, epoch: int, tick: int, trace_id: str) -> list[str]:
    """Remove an empty chunk and its link.  Returns ``["collected", neighbour, its side]`` or one word why not."""
    answer = await redis.eval(COLLECT.source, 0, chunk_id, str(shard), str(epoch), str(tick), trace_id)
    return [word.decode() for word in answer]


def located(answer: list[bytes]) -> Located:
    """Decode the answer of ``LOCATE``."""
    chunk_id, here, owner, record = answer
    return Located(chunk_id.decode(), here == b"1", int(owner) if owner else None, record)


def entry_side(found: bytes | str | None) -> Direction | None:
    """The side that a chunk's hash names as its entry; None for the hall, which has none."""
    side = text(found) if found is not None else ""
    return next((direction for direction in DIRECTIONS if direction == side), None)


async def chunk_names(redis: Redis) -> list[ChunkId]:
    """The live chunks, in a stable order."""
    return sorted(ChunkId(text(name)) for name in await redis.smembers(keys.CHUNKS))


async def chunk_owners(redis: Redis) -> dict[ChunkId, int]:
    """Every live chunk's present shard."""
    names = await chunk_names(redis)
    pipe = redis.pipeline(transaction=False)
    for name in names:
        pipe.hget(keys.chunk(name), "shard")
    found = zip(names, await pipe.execute(), strict=True)
    return {name: int(owner) for name, owner in found if owner is not None}


async def read_links(redis: Redis) -> dict[ChunkId, dict[Direction, ChunkId]]:
    """Every live chunk with its neighbours by side: the graph, as spawning and the checker walk it."""
    names = await chunk_names(redis)
    pipe = redis.pipeline(transaction=False)
    for name in names:
        pipe.hmget(keys.chunk(name), [*DIRECTIONS])
    graph: dict[ChunkId, dict[Direction, ChunkId]] = {}
    for name, sides in zip(names, await pipe.execute(), strict=True):
        graph[name] = {d: ChunkId(side.decode()) for d, side in zip(DIRECTIONS, sides, strict=True) if side is not None}
    return graph
