"""One chunk as it stands in Redis at one moment: its hash, members, inbox, reservations, and its newest entry."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio import Redis

from streaming import keys
from streaming.connect import as_text
from streaming.namespace import namespace_of

SCAN_COUNT: Final = 1_000


@dataclass(slots=True)
class ChunkDump:
    """One chunk.  ``last_id`` and ``last``: id and message of its stream's newest entry, ``0-0`` and empty if none."""

    fields: dict[str, str]
    members: list[str] = field(default_factory=list)
    inbox: dict[str, str] = field(default_factory=dict)
    reserved: dict[str, str] = field(default_factory=dict)
    last_id: str = "0-0"
    last: str = ""

    @property
    def tick(self) -> int:
        """Tick of the last entry."""
        return int(self.last_id.partition("-")[0])


def pairs(flat: Iterable[bytes]) -> dict[str, str]:
    """Return a hash as Lua gives it, sorted by field."""
    words = [as_text(word) for word in flat]
    return dict(sorted(zip(words[::2], words[1::2], strict=True)))


def chunk_dump(raw: Any) -> ChunkDump:
    """Read what ``chunk_of`` gives."""
    fields, members, inbox, reserved, last_id, last = raw
    standing = sorted(as_text(member) for member in members)
    return ChunkDump(pairs(fields), standing, pairs(inbox), pairs(reserved), as_text(last_id), as_text(last))


async def agent_ids_of(redis: Redis) -> AsyncIterator[str]:
    """Yield the id of everyone who has a record."""
    before = len(namespace_of(redis).key(keys.agent("")))
    async for full_name in redis.scan_iter(keys.agent("*"), count=SCAN_COUNT):
        yield as_text(full_name)[before:]
