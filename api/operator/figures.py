"""What the console shows, gathered: by ``GET`` for one who asks, and for the stream once for all who watch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

import orjson
from sqlalchemy.ext.asyncio import AsyncEngine

from api.accounts.auth import RedisCalls
from api.accounts.bans import BanList
from api.errors import ApiError
from api.limits.strikes import StrikeBook
from api.operator.agent_table import AgentTable
from api.operator.chunk_table import ChunkTable
from api.operator.cluster_state import (
    Status,
    actor_rows,
    node_rows,
    overview,
    read_hour,
    read_status,
    shard_rows,
)
from api.operator.port import Operating
from api.operator.rows import audit_row, ban_row, standing_row
from store import audit
from streaming import keys
from streaming.frozen import WORLD

MODERATION_SHOWN: Final = 100
BANS_SHOWN: Final = 100
AUDIT_SHOWN: Final = 50
MOVES_SHOWN: Final = 50
#: What changes with time alone, and rarely otherwise, is looked at this often.
SLOW_S: Final = 10.0


class Figures:
    """Everything that is read for operators; its tables are kept for as long as the gateway lives."""

    def __init__(
        self, redis: RedisCalls, engine: AsyncEngine, bans: BanList, strikes: StrikeBook, operating: Operating | None
    ) -> None:
        self._redis = redis
        self._engine = engine
        self._bans = bans
        self._strikes = strikes
        self._operating = operating
        self.chunks = ChunkTable(redis)
        self.agents = AgentTable(redis)
        self._moderation: list[dict[str, Any]] = []
        self._moderation_until = float("-inf")

    @property
    def operating(self) -> Operating:
        """What can be done.  Raises ``ApiError``: ``unavailable``: nothing, here."""
        if self._operating is None:
            raise ApiError("unavailable", words="this gateway has no cluster behind it")
        return self._operating

    # -- parts --

    async def status(self) -> Status:
        """Return the coordinator's last status.  Raises ``ApiError``: ``unavailable``."""
        return await read_status(self._redis)

    async def marks(self) -> dict[str, Any]:
        """Return what is frozen, pinned and moving."""
        frozen, pinned, moving = await asyncio.gather(
            self._redis.command("HKEYS", keys.FROZEN),
            self._redis.command("SMEMBERS", keys.PINS),
            self._redis.command("HKEYS", keys.MOVES_UNDER_WAY),
        )
        names = {name.decode() for name in frozen}
        return {
            "frozen": sorted(names - {WORLD}),
            "world_frozen": WORLD in names,
            "pinned": sorted(name.decode() for name in pinned),
            "moving": sorted(name.decode() for name in moving),
        }

    async def overview(self, status: Status, marks: Mapping[str, Any]) -> dict[str, Any]:
        """Return the present figures, without the hour."""
        newest, found = await asyncio.gather(
            self._redis.command("LINDEX", keys.HOUR, 0), self._redis.command("HGETALL", keys.WORLD)
        )
        pairs = found.items() if isinstance(found, Mapping) else zip(found[::2], found[1::2], strict=True)
        world = {name.decode(): value.decode() for name, value in pairs}
        point = orjson.loads(newest) if newest else None
        return overview(status, point, world, frozen=marks["world_frozen"], under_way=len(marks["moving"]))

    async def hour(self) -> list[dict[str, Any]]:
        """Return the points of the last hour, oldest first."""
        return await read_hour(self._redis)

    async def nodes(self, status: Status) -> list[dict[str, Any]]:
        """Return the nodes."""
        found = await self._redis.command("HGETALL", keys.DRAINED)
        pairs = found.items() if isinstance(found, Mapping) else zip(found[::2], found[1::2], strict=True)
        return node_rows(status, {node.decode(): _by(note) for node, note in pairs})

    def shards(self, status: Status, marks: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the shards."""
        return shard_rows(status, marks["pinned"], world_frozen=marks["world_frozen"])

    async def standings(self, first: int, most: int) -> tuple[list[dict[str, Any]], int]:
        """Return agents with strikes or a mute of late, the last one first, and how many there are."""
        ids, total = await self._strikes.moderated(first, most)
        found = await self._strikes.standings(ids) if ids else []
        return [standing_row(id_, standing) for id_, standing in zip(ids, found, strict=True)], total

    # -- for the stream --

    async def sections(self) -> dict[str, dict[str, Any]]:
        """Return all that is sent but the chunks, whose table is brought up to date; by kind of event."""
        status, marks = await asyncio.gather(self.status(), self.marks())
        await self.chunks.refresh(status)
        lines = await audit.lines(self._engine, limit=AUDIT_SHOWN)
        found: dict[str, dict[str, Any]] = {
            "overview": await self.overview(status, marks),
            "nodes": {"rows": await self.nodes(status)},
            "actors": {"rows": actor_rows(status)},
            "shards": {"rows": self.shards(status, marks)},
            "marks": marks,
            "moderation": {"rows": await self._newest_standings()},
            "bans": {"rows": [ban_row(ban) for ban in self._bans.newest(BANS_SHOWN)], "total": len(self._bans)},
            "audit": {"rows": [audit_row(line) for line in lines]},
        }
        newest = await self._redis.command("LINDEX", keys.HOUR, 0)
        if newest:
            found["point"] = orjson.loads(newest)
        if self._operating is not None:
            under_way, moves = await self._operating.moves(MOVES_SHOWN)
            found["moves"] = {"under_way": under_way, "rows": moves}
            found["jobs"] = {"rows": await self._operating.jobs()}
        return found

    async def _newest_standings(self) -> list[dict[str, Any]]:
        if time.monotonic() >= self._moderation_until:
            self._moderation, _ = await self.standings(0, MODERATION_SHOWN)
            self._moderation_until = time.monotonic() + SLOW_S
        return self._moderation

    def moderated(self) -> None:
        """Look at strikes and mutes again at the next period: something has been done about them here."""
        self._moderation_until = float("-inf")


def _by(note: bytes) -> str:
    try:
        found = orjson.loads(note)
        return "scale" if found.get("by") == "scale" else "operator"
    except (orjson.JSONDecodeError, AttributeError):
        return "operator"
