"""The digests of chunks' states, as the recorder tells them: what a watcher keeps to prove a recording by later."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from redis.asyncio import Redis

from streaming import keys
from streaming.connect import as_text

#: Digests of a chunk that are kept; see ``cluster.recorder``.
KEPT: Final = 100
#: How long what was read counts, so that any number of watchers cost a read now and then.
FRESH_S: Final = 5.0
CACHED_CHUNKS: Final = 512
#: Digests that are told at once at most: of the time between two heartbeats.
TOLD_MOST: Final = 10


@dataclass(frozen=True, slots=True)
class ToldDigest:
    """A chunk's state at a tick, and where its shard's recording had come to."""

    tick: int
    digest: str
    chain: str
    entry: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"tick": self.tick, "digest": self.digest, "chain": self.chain, "entry": self.entry}


class ChunkDigests:
    """The newest digests of chunks, a little old."""

    def __init__(self, redis: Redis, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._clock = clock
        self._cached: OrderedDict[str, tuple[float, list[ToldDigest]]] = OrderedDict()

    async def newest(self, chunk_id: str) -> list[ToldDigest]:
        """Return up to ``TOLD_MOST``, oldest first, up to ``FRESH_S`` old.  Raises ``RedisError``."""
        until, found = self._cached.get(chunk_id, (0.0, []))
        if self._clock() >= until:
            found = await read_digests(self._redis, chunk_id, TOLD_MOST)
            self._cached[chunk_id] = self._clock() + FRESH_S, found
            self._cached.move_to_end(chunk_id)
            while len(self._cached) > CACHED_CHUNKS:
                self._cached.popitem(last=False)
        return found


async def read_digests(redis: Redis, chunk_id: str, count: int = KEPT) -> list[ToldDigest]:
    """Return a chunk's newest digests, oldest first; none for one that has none yet.  Raises ``RedisError``."""
    found: Any = await redis.xrevrange(keys.chunk_digests(chunk_id), count=count)
    digests = []
    for id_, fields in reversed(found):
        told = (as_text(fields.get(name, b"")) for name in (b"digest", b"chain", b"entry"))
        digests.append(ToldDigest(int(id_.partition(b"-")[0]), *told))
    return digests


_by_client: WeakKeyDictionary[Redis, ChunkDigests] = WeakKeyDictionary()


def digests_of(redis: Redis) -> ChunkDigests:
    """Return the one ``ChunkDigests`` of a client."""
    found = _by_client.get(redis)
    if found is None:
        found = _by_client[redis] = ChunkDigests(redis)
    return found
