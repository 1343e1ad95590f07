"""Taking agents out of the world whose connection has been gone for longer than the grace time.

Gateways write into ``presence`` until when each of their agents may stand in the world; a gateway that dies stops
writing, so its agents leave by themselves when nobody takes them over.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from cluster.peers import ShardUnavailable, WorldReloaded
from cluster.shard.commits import Commits
from cluster.shard.memory import ShardMemory
from cluster.shard.seating import Seating
from streaming import keys
from world.genesis import demo_population
from world.ids import AgentId
from world.inputs import Leave, Refusal
from world.rules import Rules

DEMO_AGENTS: Final = frozenset(record.agent_id for record in demo_population(Rules()))

log = structlog.get_logger(__name__)

#: How long a time that is over is kept: it counts like none, but gateways' clocks may be behind.
FORGET_AFTER_MS: Final = 3_600_000

#: How much later than it should a look at the clock may come: beyond it this shard, Redis or the machine has slept,
#: or the clock was set.  Then the times that gateways wrote before say nothing about who is there.
SLEPT_MS: Final = 5_000


class Presence:
    """The periodic sweep over this shard's agents.

    Args:
        interval_s: How often.
        pause_s: How long a pause lasts.
    """

    def __init__(
        self,
        redis: Redis,
        memory: ShardMemory,
        seating: Seating,
        commits: Commits,
        *,
        interval_s: float,
        pause_s: float,
    ) -> None:
        self._redis = redis
        self._memory = memory
        self._seating = seating
        self._commits = commits
        self._interval_s = interval_s
        self._pause_s = pause_s
        self._not_before = 0.0
        self._looked_at_ms: int | None = None

    def pause(self) -> None:
        """Leave everybody alone for a while: gateways could not write, and their agents come back first."""
        self._not_before = time.monotonic() + self._pause_s

    async def loop(self) -> None:
        """Sweep for ever."""
        self.pause()  # a new epoch too: the gateways may have been away with the old one
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                if time.monotonic() < self._not_before:
                    await self._look_at_clock()
                else:
                    await self.sweep()
            except (RedisError, OSError, TimeoutError, WorldReloaded, ShardUnavailable) as error:
                log.info("presence_sweep_put_off", shard=self._memory.shard, error=repr(error))

    async def sweep(self) -> None:
        """Take out who has run out of time."""
        began = time.monotonic()
        self._seating.forget_all_but(self._memory.world.agent_ids)
        now_ms = await self._look_at_clock()
        agents: list[AgentId] = [agent_id for agent_id in self._memory.world.agent_ids if agent_id not in DEMO_AGENTS]
        if not agents or now_ms is None:
            return
        await self._redis.zremrangebyscore(keys.PRESENCE, "-inf", now_ms - FORGET_AFTER_MS)
        scores = await self._redis.zmscore(keys.PRESENCE, list[str](agents))
        left = [
            agent_id
            for agent_id, score in zip(agents, scores, strict=True)
            if (score is None or score < now_ms) and self._seating.joined_at.get(agent_id, 0.0) < began
        ]
        for agent_id in left:
            self._take_out(agent_id)
        if left:
            await self._commits.flush()

    async def _look_at_clock(self) -> int | None:
        """Return Redis' time in milliseconds; None, and a pause begins, when more of it has passed than could awake."""
        seconds, micros = await self._redis.time()
        now_ms = int(seconds) * 1000 + int(micros) // 1000
        before, self._looked_at_ms = self._looked_at_ms, now_ms
        if before is None or now_ms - before <= self._interval_s * 1000 + SLEPT_MS:
            return now_ms
        log.warning("presence_sweep_paused", shard=self._memory.shard, slept_s=round((now_ms - before) / 1000, 1))
        self.pause()
        return None

    def _take_out(self, agent_id: AgentId) -> None:
        if isinstance(self._memory.world.apply(Leave(agent_id)), Refusal):
            return  # it has crossed into another shard meanwhile
        self._seating.joined_at.pop(agent_id, None)
        self._commits.next.removed(agent_id)
