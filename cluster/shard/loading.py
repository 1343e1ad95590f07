"""Loading chunks from Redis: at the start of an epoch, when a chunk was made or given to this shard, after a reload.

A chunk's newest delta holds where everybody stood; what a delta does not show is in the chunk's and the agents'
records of the same commit.  The terrain comes from the seed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from cluster import graph
from cluster.peers import ShardUnavailable, WorldReloaded
from cluster.shard.memory import ShardMemory
from cluster.shard.next_commit import NextCommit
from cluster.shard.reservations import Reservations
from cluster.tick_clock import TickClock
from streaming import keys
from streaming.connect import as_text
from world.genesis import new_chunk
from world.ids import DIRECTIONS, ChunkId, Tick
from world.inputs import Load
from world.records import AgentRecord, ChunkRecord
from world.recovery import recover
from world.rules import Rules

log = structlog.get_logger(__name__)

LOAD_AT_ONCE: Final = 64
ADOPT_AT_ONCE: Final = 16


class ChunkLoader:
    """Brings chunks that this shard owns into its memory.

    Args:
        adopt_interval_s: How often ``loop`` looks for chunks that nobody has told this shard of.
    """

    def __init__(
        self,
        redis: Redis,
        memory: ShardMemory,
        reservations: Reservations,
        next_commit: NextCommit,
        clock: TickClock,
        *,
        adopt_interval_s: float,
    ) -> None:
        self._redis = redis
        self._memory = memory
        self._reservations = reservations
        self._next = next_commit
        self._clock = clock
        self._adopt_interval_s = adopt_interval_s
        self._loading: dict[str, asyncio.Task[bool]] = {}
        self._leaving: dict[str, asyncio.Future[None]] = {}

    async def load_owned(self) -> None:
        """Load every chunk whose hash names this shard."""
        owners = await graph.chunk_owners(self._redis)
        owned = [name for name, owner in owners.items() if owner == self._memory.shard]
        for first in range(0, len(owned), LOAD_AT_ONCE):
            await asyncio.gather(*(self._load(name) for name in owned[first : first + LOAD_AT_ONCE]))

    async def loop(self) -> None:
        """Adopt chunks for ever."""
        while True:
            await asyncio.sleep(self._adopt_interval_s)
            try:
                await self.adopt()
            except (RedisError, OSError, TimeoutError, WorldReloaded, ShardUnavailable) as error:
                log.info("adoption_put_off", shard=self._memory.shard, error=repr(error))

    async def adopt(self) -> None:
        """Load what was made for this shard or given to it without its knowing: nobody may call about it for long."""
        key = keys.adopt(self._memory.shard)
        redis: Any = self._redis  # its types have no list of names
        while names := await redis.spop(key, ADOPT_AT_ONCE):
            try:
                for name in names:
                    await self.ensure(as_text(name))
            except Exception:
                await redis.sadd(key, *names)
                raise

    @contextmanager
    def leaving(self, chunk_id: str) -> Iterator[None]:
        """Keep a chunk that is on its way out from being loaded: whoever wants it waits for what becomes of it."""
        future = self._leaving[chunk_id] = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            del self._leaving[chunk_id]
            future.set_result(None)

    def is_loading(self, chunk_id: str) -> bool:
        """Return whether the chunk is being loaded, or was a moment ago."""
        return chunk_id in self._loading or self._memory.world.holds(ChunkId(chunk_id))

    async def is_frozen(self, chunk_id: str) -> bool:
        """Return whether the chunk is frozen by itself.  Raises ``RedisError``."""
        return bool(await self._redis.hexists(keys.FROZEN, chunk_id))

    def is_leaving(self, chunk_id: str) -> bool:
        """Return whether a collection or a handover of the chunk is under way."""
        return chunk_id in self._leaving

    async def load(self, chunk_ids: Sequence[str]) -> list[bool]:
        """``ensure`` each of them, and return whether it is in memory now."""
        return [await self.ensure(chunk_id) for chunk_id in chunk_ids]

    async def ensure(self, chunk_id: str) -> bool:
        """Load the chunk if it is not in memory; return False when it is gone, frozen or another shard's."""
        while (leaving := self._leaving.get(chunk_id)) is not None:
            await asyncio.shield(leaving)
        if self._memory.world.holds(ChunkId(chunk_id)):
            return True
        task = self._loading.get(chunk_id)
        if task is None:
            task = self._loading[chunk_id] = asyncio.create_task(self._load(chunk_id))
            task.add_done_callback(lambda _: self._loading.pop(chunk_id, None))
        return await asyncio.shield(task)

    async def _load(self, chunk_id: str) -> bool:
        """Read the chunk and hand it to the core, with the cells reserved in it."""
        memory = self._memory
        while True:
            generation = memory.generation
            pipe = self._redis.pipeline(transaction=True)
            pipe.hgetall(keys.chunk(chunk_id))
            pipe.xrevrange(keys.chunk_stream(chunk_id), count=1)
            pipe.smembers(keys.members(chunk_id))
            pipe.hgetall(keys.reservations(chunk_id))
            pipe.hexists(keys.FROZEN, chunk_id)
            fields, newest, members, reserved, frozen = await pipe.execute()
            if frozen or not fields or int(fields[b"shard"]) != memory.shard:
                return False
            standing = await self._agents(chunk_id, sorted(member.decode() for member in members))
            if memory.world.holds(ChunkId(chunk_id)):
                return True
            if memory.generation == generation:
                self._take_in(chunk_id, fields, newest_delta(newest), standing)
                self._reservations.recover(chunk_id, reserved)
                return True
            # The world went back meanwhile, so what was read may be from before its last commits.

    def _take_in(
        self,
        chunk_id: str,
        fields: Mapping[bytes, bytes],
        newest: tuple[str, dict[str, Any] | None],
        standing: list[AgentRecord],
    ) -> None:
        memory, (last_id, delta) = self._memory, newest
        present = self._present_tick()
        kept = chunk_record(fields, memory.seed, memory.rules, present)
        record, agents = recover(kept, delta, standing, present)
        if delta is not None and delta["tick"] <= kept.tick:
            record = replace(record, events=kept.events)  # no delta has shown them yet
        self._next.last_ids[chunk_id] = last_id
        self._clock.advance_to(record.tick, time.monotonic())
        memory.tick = max(memory.tick, record.tick)
        memory.world.apply(Load(record, agents))
        static = orjson.dumps(memory.world.chunk_static(ChunkId(chunk_id)))
        self._next.additions.chunk_static(chunk_id, static)

    def _present_tick(self) -> Tick:
        """Return a tick below the next one to be run, and close to it: a new chunk's idle time begins here."""
        clock = self._clock
        return Tick(max(0, self._memory.tick, clock.due(time.monotonic()) - clock.back_to_back_most))

    async def _agents(self, chunk_id: str, members: list[str]) -> list[AgentRecord]:
        """Return the records of those who stand in the chunk by their own account."""
        pipe = self._redis.pipeline(transaction=False)
        for member in members:
            pipe.hmget(keys.agent(member), ["chunk", "here", "rec"])
        return [
            AgentRecord.from_json(orjson.loads(rec))
            for chunk, here, rec in await pipe.execute()
            if rec is not None and here == b"1" and chunk == chunk_id.encode()
        ]


def newest_delta(entries: list[Any]) -> tuple[str, dict[str, Any] | None]:
    """Return id and payload of a stream's last entry; ``0-0`` and None for an empty stream."""
    if not entries:
        return "0-0", None
    entry_id, fields = entries[0]
    payload = orjson.loads(fields[b"m"].split(b"\n", 1)[1])
    return entry_id.decode(), payload if "agents" in payload else None


def chunk_record(fields: Mapping[bytes, bytes], seed: int, rules: Rules, tick: int = 0) -> ChunkRecord:
    """Return a chunk's record from its hash; a new one, of ``tick``, when nobody has had it yet.

    Links and pin in the hash are the truth, whatever ``state`` holds.
    """
    sides = {d: ChunkId(fields[d.encode()].decode()) if d.encode() in fields else None for d in DIRECTIONS}
    if b"state" not in fields:
        entry = graph.entry_side(fields[b"entry"])
        return new_chunk(seed, int(fields[b"number"]), entry, rules, Tick(tick), sides)
    record = ChunkRecord.from_json(orjson.loads(fields[b"state"]))
    return replace(record, neighbors=sides, pinned=fields.get(b"pinned") == b"1")
