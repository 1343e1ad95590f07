"""In which chunk an agent was at a tick: by the event log, and by its record for what is older than that."""

from __future__ import annotations

from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from api.services import Services
from config.errors import TryAgain
from store import agent_moves
from store.agent_moves import AgentMove
from streaming import keys
from streaming.agent_record import read_agent
from streaming.agent_rewind import Stay
from streaming.connect import as_text
from streaming.newest_deltas import newest_upto
from streaming.shared_clock import now_ms

#: Field of the hash ``world``: which run it is (``cluster.world_run``).
RUN: Final = "run"
#: The last entries of a recording are written within this.
RECENT_MS: Final = 60_000


class EventLogAway(TryAgain):
    """The database can't be asked now."""

    reason = "event_log_away"


class AgentWhereabouts:
    """One agent's ways."""

    def __init__(self, services: Services, agent_id: str) -> None:
        self._services = services
        self._agent_id = agent_id

    async def stay(self, tick: int) -> Stay | None:
        """Return the stay right after a tick, or else the next one; None: there is none.

        Raises:
            EventLogAway: the database is away.
            ApiError: ``overloaded``: too many ask.
            RedisError: as redis-py raises it.
        """
        run_id = await run_of(self._services)
        engine, agent_id = self._services.engine, self._agent_id
        try:
            async with self._services.past.reading_moves():
                before = await agent_moves.last_before(engine, run_id, agent_id, tick + 1)
                if before is not None and before.there is not None:
                    return Stay(before.there, before.tick)
                after = await agent_moves.first_from(engine, run_id, agent_id, tick + 1, before)
        except (SQLAlchemyError, OSError):
            raise EventLogAway from None
        return None if before is not None and after is None else await self.around(after)

    async def around(self, first: AgentMove | None) -> Stay | None:
        """Return the earliest stay that is known of, ``first`` being the first move that is kept.

        Without one, it has been where it is for longer than moves are kept, or was never there.  Raises as Redis.
        """
        if first is None:
            record = await read_agent(self._services.redis, self._agent_id)
            return None if record.chunk_id is None else Stay(record.chunk_id, 0)
        if first.chunk_id is None:
            return None
        return Stay(first.chunk_id, first.tick if first.kind == "join" else 0)


async def run_of(services: Services) -> str:
    """Return the run that the world is; empty: none yet.  Raises ``RedisError``."""
    found = await services.redis.hget(keys.WORLD, RUN)
    return "" if found is None else as_text(found)


async def recent_tick(services: Services, agent_id: str, ms: int) -> int | None:
    """Return which tick it was at a Unix time (ms) of the last minute, by the newest delta where the agent is.

    That is before recordings know it.  None: it is longer ago, or the agent is away.  Raises ``RedisError``.
    """
    if ms < now_ms() - RECENT_MS:
        return None
    record = await read_agent(services.redis, agent_id)
    newest = None if record.chunk_id is None else await newest_upto(services.redis, record.chunk_id)
    if newest is None:
        return None
    return max(0, newest.id[0] - round((newest.ts_ms - ms) * services.settings.tick_hz / 1000))
