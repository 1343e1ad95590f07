"""One agent that a model plays through this gateway: the SDK's agent and toolbox over the gateway's own app."""

from __future__ import annotations

import asyncio
import contextlib
import time
import zlib
from functools import partial
from typing import Any, Final

import structlog
from redis.exceptions import RedisError
from starlette.types import ASGIApp

from api import keys
from api.accounts.auth import RedisCalls
from chunkcrawl.agent import Agent
from chunkcrawl.errors import ChunkcrawlError
from chunkcrawl.mcp.answer import Answer
from chunkcrawl.mcp.toolbox import Toolbox, ToolProgress
from chunkcrawl.view.world_map import MapUnreadable, WorldMap
from cluster.hosted.in_process import BASE, ModelPeer, in_process_api, open_socket
from cluster.hosted.sessions import MAP_TTL_S

__all__ = ["HostedAgent"]

log = structlog.get_logger(__name__)

AGAIN: Final = "play_as must be called again"
OPEN_TIMEOUT_S: Final = 15.0
#: A connection that stays away for longer ends the agent; the next call begins anew.
AWAY_TIMEOUT_S: Final = 120.0
CLOSE_TIMEOUT_S: Final = 3.0
#: Chunks of a hosted map, some 3 kB each in memory; those seen longest ago go first.
CHUNKS_MAX: Final = 200
MAP_MAX_BYTES: Final = 4 * 1024 * 1024


class HostedAgent:
    """A connected agent with its tools, played for one session.  ``open`` makes one, ``close`` ends it."""

    def __init__(self, session_id: str, agent: Agent, redis: RedisCalls) -> None:
        self.session_id = session_id
        self.agent = agent
        self._redis = redis
        self._used_at = time.monotonic()
        self._calls = 0
        self._toolbox = Toolbox(agent, again=AGAIN)
        self._saved: tuple[int, int] = (0, 0)

    @classmethod
    async def open(
        cls, app: ASGIApp, peer: ModelPeer, redis: RedisCalls, *, session_id: str, agent_id: str, api_key: str
    ) -> HostedAgent:
        """Connect the agent and return it, with the map that it had.

        Raises:
            ChunkcrawlError: it can't be connected: somebody else's, limits, no room.
        """
        api = in_process_api(app, peer)
        agent = Agent.connect(
            BASE,
            agent_id=agent_id,
            api_key=api_key,
            api=api,
            open_timeout_s=OPEN_TIMEOUT_S,
            away_timeout_s=AWAY_TIMEOUT_S,
            open_socket=partial(open_socket, app, peer),
        )
        player = cls(session_id, agent, redis)
        await player._load_map()
        try:
            await agent.__aenter__()
            await player._toolbox.__aenter__()
        except BaseException:
            await api.http.aclose()
            raise
        return player

    async def close(self) -> None:
        """Leave the world in order, within ``CLOSE_TIMEOUT_S``; the map is kept."""
        await self.save_map()
        with contextlib.suppress(TimeoutError, ChunkcrawlError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._toolbox.__aexit__(None, None, None)
                await self.agent.close()
        await self.agent.api.http.aclose()

    @property
    def idle_s(self) -> float:
        """Seconds since its last call ended; 0 while one is under way."""
        return 0.0 if self._calls else time.monotonic() - self._used_at

    async def call(self, tool: str, arguments: dict[str, Any], progress: ToolProgress) -> Answer:
        """Call a tool; cancelled, it leaves the agent standing still soon after."""
        self._calls += 1
        try:
            return await self._toolbox.call(tool, arguments, progress)
        finally:
            self._calls -= 1
            self._used_at = time.monotonic()

    # -- the map --

    async def _load_map(self) -> None:
        self.agent.map = WorldMap(chunks_max=CHUNKS_MAX)
        try:
            packed = await self._redis.command("GET", keys.mcp_map(self.agent.agent_id))
            if packed:
                unpacking = zlib.decompressobj()
                content = unpacking.decompress(packed, MAP_MAX_BYTES)
                self.agent.map = WorldMap.from_bytes(content, chunks_max=CHUNKS_MAX)
        except (RedisError, OSError, zlib.error, MapUnreadable) as error:
            log.info("mcp_map_not_read", agent_id=self.agent.agent_id, error=type(error).__name__)

    async def save_map(self) -> None:
        """Keep the map for whichever gateway plays the agent next, if it has changed."""
        chunks = self.agent.map.chunks
        mark = (len(chunks), max((chunk.seen_ms for chunk in chunks.values()), default=0))
        if mark == self._saved:
            return
        packed = await asyncio.to_thread(zlib.compress, self.agent.map.to_bytes())
        try:
            await self._redis.command("SET", keys.mcp_map(self.agent.agent_id), packed, "EX", MAP_TTL_S)
        except (RedisError, OSError) as error:
            log.info("mcp_map_not_kept", agent_id=self.agent.agent_id, error=type(error).__name__)
        else:
            self._saved = mark
