"""Where an agent went, out of the event log: its joining, crossings and leaving."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, bindparam, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from store.event_log import NUMBER, number_of, time_of
from store.models import EventLog

KINDS: Final = ("join", "crossing", "leave")
TO: Final = EventLog.payload["to_chunk_id"].astext


@dataclass(frozen=True, slots=True)
class AgentMove:
    """One of an agent's moves.  ``chunk_id``: where it joined, or what it left; ``to_chunk_id``: of a crossing."""

    entry_id: str
    at: datetime
    tick: int
    kind: str
    chunk_id: str | None
    to_chunk_id: str | None

    @property
    def there(self) -> str | None:
        """The chunk in which the agent is after it; None: none."""
        return {"join": self.chunk_id, "crossing": self.to_chunk_id}.get(self.kind)


#: A moment: a tick, or a time.
Moment = int | datetime


async def last_before(engine: AsyncEngine, run_id: str, agent_id: str, moment: Moment) -> AgentMove | None:
    """Return the last move before a moment; None: none is kept.  Raises ``SQLAlchemyError``, ``OSError``."""
    found = _moves(run_id, agent_id).where(_clock(moment) < moment)
    return await _first(engine, found.order_by(EventLog.at.desc(), NUMBER.desc()))


async def first_from(
    engine: AsyncEngine, run_id: str, agent_id: str, moment: Moment, after: AgentMove | None = None
) -> AgentMove | None:
    """Return the first move at or after a moment, ``after`` being the last before it.  Raises as ``last_before``."""
    found = _moves(run_id, agent_id).where(_clock(moment) >= moment)
    if after is not None:
        found = found.where(EventLog.at >= after.at)
    return await _first(engine, found.order_by(EventLog.at, NUMBER))


async def between(
    engine: AsyncEngine, run_id: str, agent_id: str, first: Moment, last: Moment, after: str | None, limit: int
) -> list[AgentMove]:
    """Return the moves of a span, both ends included, oldest first.

    Args:
        after: only those after this entry.
        limit: so many at most.

    Raises:
        SQLAlchemyError, OSError: the database is away.
    """
    found = _moves(run_id, agent_id).where(_clock(first) >= first, _clock(last) <= last)
    if after is not None:
        at = time_of(after)
        found = found.where(EventLog.at >= at, or_(EventLog.at > at, number_of(after) < NUMBER))
    async with engine.connect() as connection:
        rows = await connection.execute(found.order_by(EventLog.at, NUMBER).limit(limit))
        return [_move(row) for row in rows]


async def entry(engine: AsyncEngine, run_id: str, agent_id: str, entry_id: str) -> AgentMove | None:
    """Return a move by its entry; None: it is not kept, or none.  Raises as ``last_before``."""
    found = _moves(run_id, agent_id).where(EventLog.at == time_of(entry_id), EventLog.entry_id == entry_id)
    return await _first(engine, found)


def _moves(run_id: str, agent_id: str) -> Select[Any]:
    columns = (EventLog.entry_id, EventLog.at, EventLog.tick, EventLog.kind, EventLog.chunk_id, TO)
    wheres: tuple[ColumnElement[bool], ...] = (
        EventLog.agent_id == agent_id,
        EventLog.run_id == run_id,
        # In the statement itself, not as parameters: only so the partial index is sure to be found.
        EventLog.kind.in_(bindparam("kinds", KINDS, expanding=True, literal_execute=True)),
    )
    return select(*columns).where(*wheres)


def _clock(moment: Moment) -> ColumnElement[Any]:
    return (EventLog.tick if isinstance(moment, int) else EventLog.at).expression


async def _first(engine: AsyncEngine, found: Select[Any]) -> AgentMove | None:
    async with engine.connect() as connection:
        row = (await connection.execute(found.limit(1))).first()
        return None if row is None else _move(row)


def _move(row: Any) -> AgentMove:
    return AgentMove(*row)
