"""``stream:archive`` as the archiver reads it: a consumer group, what waits, and what was lost.

An entry leaves the stream when it is in PostgreSQL, so what is in the stream is what waits.  How many were taken out
is counted in the same script, which tells how many MAXLEN has cut off before anybody read them:
``entries-added - length - taken``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from config.errors import ServerError
from streaming import keys
from streaming.connect import as_text
from streaming.lua import load, run

GROUP: Final = "archiver"
#: Hash: ``taken``, the number of entries taken out of the stream.
STATS: Final = "archive"


class ArchiveEntry(NamedTuple):
    """One fact."""

    id: str
    #: None: MAXLEN has cut the entry off after it was given to a consumer.
    payload: bytes | None
    #: Id of the fact before it; empty: not known (of an earlier version).
    before: str = ""


TAKE: Final = load("cluster/archive_take.lua")
MEASURE: Final = load("cluster/archive_measure.lua")

#: Lua's ``unpack`` has a limit of some thousands.
TAKE_AT_ONCE: Final = 1_000


class GroupMissing(ServerError):
    """The stream or its group has gone: Redis was emptied, or replaced by a restored one."""

    reason = "group_missing"


@dataclass(frozen=True, slots=True)
class Waiting:
    """``entries`` wait, the oldest since ``lag_s`` seconds; ``lost`` were cut off unread since the stream began."""

    entries: int
    lag_s: float
    lost: int


class ArchiveStream:
    """One consumer's view of the stream.  Every method raises ``RedisError`` when Redis does not answer."""

    def __init__(self, redis: Redis, consumer: str) -> None:
        self._redis = redis
        self.consumer = consumer

    async def prepare(self) -> None:
        """Make the group if it is not there; a new one begins with the oldest entry."""
        try:
            await self._redis.xgroup_create(keys.ARCHIVE_STREAM, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def claim(self, min_idle_ms: int, count: int) -> list[ArchiveEntry]:
        """Take over what other consumers were given ``min_idle_ms`` ago or earlier and have not acknowledged."""
        answer = await self._ask(
            "XAUTOCLAIM", keys.ARCHIVE_STREAM, GROUP, self.consumer, min_idle_ms, "0", "COUNT", count
        )
        return _entries(answer[1])

    async def own(self, count: int) -> list[ArchiveEntry]:
        """Return what this consumer was given and has not acknowledged, oldest first."""
        return await self._read("0", count)

    async def fresh(self, count: int, block_ms: int) -> list[ArchiveEntry]:
        """Return what nobody was given yet; wait up to ``block_ms`` for the first one."""
        return await self._read(">", count, "BLOCK", block_ms)

    async def take(self, ids: Sequence[str]) -> None:
        """Acknowledge entries and take them out of the stream; doing it twice changes nothing."""
        for first in range(0, len(ids), TAKE_AT_ONCE):
            some = ids[first : first + TAKE_AT_ONCE]
            await run(self._redis, TAKE(stream=keys.ARCHIVE_STREAM, stats=STATS, group=GROUP, ids=some))

    async def measure(self) -> Waiting:
        """Return what waits now, by Redis' own clock."""
        now, length, first, lost = await run(self._redis, MEASURE(stream=keys.ARCHIVE_STREAM, stats=STATS))
        lag_ms = now - int(first.split(b"-")[0]) if first else 0
        return Waiting(length, max(0, lag_ms) / 1000, max(0, lost))

    async def newest(self) -> str:
        """Return the id of the newest fact that there ever was; ``0-0``: none."""
        info = await self._redis.xinfo_stream(keys.ARCHIVE_STREAM)
        return as_text(info["last-generated-id"])

    async def _read(self, start: str, count: int, *options: str | int) -> list[ArchiveEntry]:
        words = ("XREADGROUP", "GROUP", GROUP, self.consumer, "COUNT", count, *options)
        answer = await self._ask(*words, "STREAMS", keys.ARCHIVE_STREAM, start)
        if not answer:
            return []
        return _entries(answer[0][1])

    async def _ask(self, *words: str | int) -> Any:
        try:
            return await self._redis.execute_command(*words)  # type: ignore[no-untyped-call]
        except ResponseError as error:
            # UNBLOCKED: the stream was deleted while we waited for it.
            if "NOGROUP" in str(error) or "UNBLOCKED" in str(error):
                raise GroupMissing(str(error)) from None
            raise


def _entries(found: Any) -> list[ArchiveEntry]:
    # An entry that was cut off comes without fields, or as None.
    fields = [(as_text(item[0]), item[1] or {}) for item in found if item and item[0] is not None]
    return [ArchiveEntry(id_, said.get(b"m"), as_text(said.get(b"p", b""))) for id_, said in fields]
