"""A chunk's past for this gateway: what recordings have, and after it what the chunk's stream has.

One process runs the past again (``api.past.process``); with ``WAITING_MOST`` asking for it, one more is refused as
``overloaded``.  The last minute comes from the stream alone and costs no process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import orjson
from redis.asyncio import Redis

from api.errors import ApiError
from api.kept_answers import KeptAnswers
from api.past.process import PastProcess, PastUnavailable
from config.settings import Settings
from recordings.agent_page import AgentPage
from recordings.kept import KeptPast
from recordings.past_page import DELTAS_MOST, PastPage, Reason
from streaming.newest_deltas import add_newest, page_of_stream
from world.ids import shard_of

#: Questions to the process under way at once, those that wait included.
WAITING_MOST: Final = 16
#: Streams that play the past at once.
PLAYING_MOST: Final = 16
#: Questions to the event log about marks at once.
MARKING_MOST: Final = 4
#: Questions to the event log about the moves of an agent at once.
MOVES_MOST: Final = 4
#: How long it is believed how far back a recording goes.
KEPT_S: Final = 5.0
RECORDINGS: Final = "recordings"

Asker = Callable[[dict[str, Any]], bytes]


class PastReader:
    """Reads pages of the past.  ``close`` ends its process; none is started before the first use."""

    def __init__(self, redis: Redis, settings: Settings, ask: Asker | None = None) -> None:
        self._redis = redis
        self._recorded = settings.recordings
        directory = Path(settings.recordings_dir or Path(settings.data_dir) / RECORDINGS).absolute()
        self._places = {"directory": str(directory), "url": settings.recordings_url}
        self._process = PastProcess()
        self._ask = self._process.ask if ask is None else ask
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="past")
        self._kept = KeptAnswers(KEPT_S)
        #: Shards that are recorded, by the newest answer.
        self._shards = 1
        #: Who reads marks from the event log.
        self.marking = asyncio.Semaphore(MARKING_MOST)
        self._moves = asyncio.Semaphore(MOVES_MOST)
        self._waiting = 0
        self._playing = 0

    def close(self) -> None:
        """End the process."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._process.close()

    async def page(self, chunk_id: str, first: int, last: int, limit: int = DELTAS_MOST) -> PastPage:
        """Return what happened in a chunk from the tick ``first`` on, up to ``last`` at most.

        Raises:
            ApiError: ``overloaded``: too many ask; ``unavailable``: the recordings are away.
            RedisError: as redis-py raises it.
        """
        found = await page_of_stream(self._redis, chunk_id, first, last, limit)
        if found is not None:
            return found
        answer = await self._asked(chunk_id=chunk_id, first=first, last=last, limit=limit)
        page = PastPage.unpack(answer)
        room = limit - len(page.deltas)
        page.ended = page.ended and room > 0
        if page.ended and page.closed is None and page.last < last:
            reason: Reason = "not_yet_recorded" if self._recorded and page.state is not None else "not_recorded"
            await add_newest(self._redis, page, last, room, reason=reason)
        return page

    async def agent_page(self, agent_id: str, chunk_id: str, first: int, limit: int) -> AgentPage:
        """Return what recordings have of an agent in a chunk from ``first`` on.  Raises ``ApiError`` as ``page``."""
        return AgentPage.unpack(await self._asked(agent_id=agent_id, chunk_id=chunk_id, first=first, limit=limit))

    async def tick_at(self, chunk_id: str, ms: int) -> int | None:
        """Return about which tick it was at a Unix time (ms); None: nothing that old is kept.  Raises as ``page``."""
        tick: int | None = orjson.loads(await self._asked(chunk_id=chunk_id, ms=ms))
        return tick

    async def kept(self, chunk_id: str) -> KeptPast:
        """Return how far back the recording of a chunk's shard goes, up to ``KEPT_S`` old.  Raises as ``page``.

        All chunks of a shard share the answer.
        """
        shards = self._shards
        kept = await self._kept_by(shards, chunk_id)
        if kept.shards == shards:
            return kept
        self._shards = kept.shards
        return await self._kept_by(kept.shards, chunk_id)

    async def _kept_by(self, shards: int, chunk_id: str) -> KeptPast:
        asked = shards, shard_of(chunk_id, shards)
        return KeptPast.unpack(await self._kept.get(asked, lambda: self._asked(chunk_id=chunk_id, kept=True)))

    async def _asked(self, **request: Any) -> bytes:
        if self._waiting >= WAITING_MOST:
            raise ApiError("overloaded")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self._thread, self._ask, {**self._places, **request})
        except PastUnavailable:
            raise ApiError("unavailable") from None
        finally:
            self._waiting -= 1
        if answer[:1] not in (b"P", b"T", b"K"):
            raise ApiError("unavailable")
        return answer[1:]

    @asynccontextmanager
    async def reading_moves(self) -> AsyncIterator[None]:
        """Count who reads an agent's moves from the event log for the block.  Raises ``ApiError``: ``overloaded``."""
        if self._moves.locked():
            raise ApiError("overloaded")
        async with self._moves:
            yield

    # -- streams --

    @property
    def full(self) -> bool:
        """Whether as many play as may."""
        return self._playing >= PLAYING_MOST

    @contextmanager
    def playing(self) -> Iterator[bool]:
        """Count a stream that plays for the block; False: too many do already."""
        if self.full:
            yield False
            return
        self._playing += 1
        try:
            yield True
        finally:
            self._playing -= 1
