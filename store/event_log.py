"""The event log: batches written once, read back by agent or chunk.  Its days: ``store.event_log_days``.

An entry's id in ``stream:archive`` (``{ms}-{n}``) holds its time, so id and time together are the key, and writing an
entry again conflicts with itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, and_, cast, func, or_, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from config.errors import ServerError
from store.models import EventLog

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: SQLSTATE class 22, "data exception": this row will be refused for ever.
BAD_DATA: Final = "22"

INSERT: Final = text(
    "INSERT INTO event_logs (at, entry_id, run_id, tick, chunk_id, agent_id, kind, payload)"
    " SELECT at, entry_id, run_id, tick, chunk_id, agent_id, kind, CAST(payload AS jsonb)"
    " FROM unnest(CAST(:at AS timestamptz[]), CAST(:entry_id AS text[]), CAST(:run_id AS text[]),"
    " CAST(:tick AS bigint[]), CAST(:chunk_id AS text[]), CAST(:agent_id AS text[]), CAST(:kind AS text[]),"
    " CAST(:payload AS text[])) AS row (at, entry_id, run_id, tick, chunk_id, agent_id, kind, payload)"
    # Another fact under the same id: the earlier one was undone, and Redis' clock set back.
    " ON CONFLICT (at, entry_id) DO UPDATE SET tick = excluded.tick, chunk_id = excluded.chunk_id,"
    " agent_id = excluded.agent_id, kind = excluded.kind, payload = excluded.payload"
    " WHERE event_logs.run_id = excluded.run_id AND (event_logs.tick, event_logs.kind, event_logs.payload)"
    " IS DISTINCT FROM (excluded.tick, excluded.kind, excluded.payload)"
)
NUMBER: Final = cast(func.split_part(EventLog.entry_id, "-", 2), BigInteger)
COLUMNS: Final = ("at", "entry_id", "run_id", "tick", "chunk_id", "agent_id", "kind", "payload")


@dataclass(frozen=True, slots=True)
class LogRow:
    """One fact on its way into the log.  ``payload``: a JSON object as text."""

    entry_id: str
    run_id: str
    tick: int
    chunk_id: str | None
    agent_id: str | None
    kind: str
    payload: str

    @property
    def at(self) -> datetime:
        """The time inside ``entry_id``, in UTC."""
        return time_of(self.entry_id)


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One fact as it is read back."""

    at: datetime
    entry_id: str
    run_id: str
    tick: int
    chunk_id: str | None
    agent_id: str | None
    kind: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a run of which all facts are known: ``known`` alone are after the entry ``after``, up to ``upto``."""

    after: str
    upto: str
    known: tuple[str, ...] = ()


class RowRefused(ServerError):
    """PostgreSQL will never take a row of this batch (a NUL in a text, a number out of range)."""

    reason = "row_refused"


def time_of(entry_id: str) -> datetime:
    """Return the time in an entry's id, ``1764057600000-3``, in UTC and exactly (no float in between)."""
    return EPOCH + timedelta(milliseconds=int(entry_id.partition("-")[0]))


def number_of(entry_id: str) -> int:
    """Return the number of an entry within its millisecond."""
    return int(entry_id.partition("-")[2])


def is_before(one: str, other: str) -> bool:
    """Return whether the entry ``one`` is older than ``other``."""
    return (time_of(one), number_of(one)) < (time_of(other), number_of(other))


async def insert(engine: AsyncEngine, rows: Sequence[LogRow]) -> int:
    """Write rows in one transaction, those that are there already aside; return how many were new.

    Raises:
        RowRefused: nothing was written; tried one by one, all but the bad ones will be.
        SQLAlchemyError, OSError: the database is away; whether it was written is not known.
    """
    columns = {name: [getattr(row, name) for row in rows] for name in COLUMNS}
    try:
        async with engine.begin() as connection:
            answer = await connection.execute(INSERT, columns)
            return int(answer.rowcount)
    except DBAPIError as error:
        if str(getattr(error.orig, "sqlstate", "")).startswith(BAD_DATA):
            raise RowRefused(str(error.orig)) from None
        raise


async def read(
    engine: AsyncEngine,
    *,
    agent_id: str | None = None,
    chunk_id: str | None = None,
    since: datetime | None = None,
    limit: int = 100,
) -> list[LoggedEvent]:
    """Return the newest ``limit`` facts about an agent or a chunk (arrivals by crossing too), oldest first."""
    wheres: list[ColumnElement[bool]] = []
    if agent_id is not None:
        wheres.append(EventLog.agent_id == agent_id)
    if chunk_id is not None:
        # Two queries, each along an index of its own, instead of one that has to look at every crossing.
        wheres.append(EventLog.chunk_id == chunk_id)
        wheres.append(and_(EventLog.kind == "crossing", EventLog.payload["to_chunk_id"].astext == chunk_id))
    found: dict[str, LoggedEvent] = {}
    async with engine.connect() as connection:
        for where in wheres:
            statement = select(*(getattr(EventLog, name) for name in COLUMNS)).where(where)
            if since is not None:
                statement = statement.where(EventLog.at >= since)
            rows = await connection.execute(statement.order_by(EventLog.at.desc(), NUMBER.desc()).limit(limit))
            found |= {row.entry_id: LoggedEvent(*row) for row in rows}
    return sorted(found.values(), key=lambda event: (event.at, number_of(event.entry_id)))[-limit:]


@dataclass(frozen=True, slots=True)
class LoggedPage:
    """A part of what an agent did, newest first.  ``more``: whether there is something before it."""

    events: list[LoggedEvent]
    more: bool


async def history(
    engine: AsyncEngine,
    agent_id: str,
    *,
    before: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    kinds: Sequence[str] = (),
    limit: int = 100,
) -> LoggedPage:
    """Return what an agent did, and what it was given, newest first.

    Args:
        before: Only entries older than this one (an ``entry_id``).
        since, until: Only entries of that time, the first included, the last not.
        kinds: Only these kinds; empty: all.
        limit: At most so many.
    """
    given = and_(EventLog.kind == "give", EventLog.payload["to"].astext == agent_id)
    found: dict[str, LoggedEvent] = {}
    async with engine.connect() as connection:
        # Two queries, each along an index of its own.
        for whose in (EventLog.agent_id == agent_id, given):
            wheres = [whose, *_time_wheres(before, since, until)]
            if kinds:
                wheres.append(EventLog.kind.in_(kinds))
            statement = select(*(getattr(EventLog, name) for name in COLUMNS)).where(*wheres)
            rows = await connection.execute(statement.order_by(EventLog.at.desc(), NUMBER.desc()).limit(limit + 1))
            found |= {row.entry_id: LoggedEvent(*row) for row in rows}
    events = sorted(found.values(), key=lambda event: (event.at, number_of(event.entry_id)), reverse=True)
    return LoggedPage(events[:limit], len(events) > limit)


def _time_wheres(before: str | None, since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    wheres: list[ColumnElement[bool]] = []
    if before is not None:
        at = time_of(before)
        # The first half is there for the index; the second tells entries of one millisecond apart.
        wheres += [EventLog.at <= at, or_(EventLog.at < at, number_of(before) > NUMBER)]
    if since is not None:
        wheres.append(EventLog.at >= since)
    if until is not None:
        wheres.append(EventLog.at < until)
    return wheres


async def last_entry(engine: AsyncEngine, run_id: str | None = None) -> str | None:
    """Return the highest entry id of the log, or of one run in it; None when there is none."""
    wheres = [] if run_id is None else [EventLog.run_id == run_id]
    async with engine.connect() as connection:
        newest = await connection.scalar(select(EventLog.at).where(*wheres).order_by(EventLog.at.desc()).limit(1))
        if newest is None:
            return None
        names = await connection.scalars(select(EventLog.entry_id).where(EventLog.at == newest, *wheres))
        return max(names, key=number_of)


BEYOND: Final = (
    "run_id = :run_id AND (at > :at OR (at = :at AND CAST(split_part(entry_id, '-', 2) AS bigint) > :number))"
)


def beyond(run_id: str, position: str) -> dict[str, Any]:
    """Return the parameters of ``BEYOND``: the facts of ``run_id`` after the entry ``position``."""
    return {"run_id": run_id, "at": time_of(position), "number": number_of(position)}


async def cut_after(engine: AsyncEngine, run_id: str, position: str) -> int:
    """Delete what ``run_id`` logged after ``position``, which a restored world never saw; return how many."""
    async with engine.begin() as connection:
        answer = await connection.execute(text(f"DELETE FROM event_logs WHERE {BEYOND}"), beyond(run_id, position))
        return int(answer.rowcount)


DELETE_UNKNOWN: Final = text(
    f"DELETE FROM event_logs WHERE {BEYOND}"
    " AND (at < :upto_at OR (at = :upto_at AND CAST(split_part(entry_id, '-', 2) AS bigint) <= :upto_number))"
    " AND entry_id <> ALL(CAST(:known AS text[]))"
    " RETURNING agent_id, payload ->> 'to'"
)


async def delete_unknown(
    engine: AsyncEngine, run_id: str, spans: Sequence[Span]
) -> list[tuple[str | None, str | None]]:
    """Delete those facts of ``run_id`` within ``spans`` that the spans do not know.

    Returns:
        Of each such fact the agent it was about, and the one that was given something by it.
    """
    found: list[tuple[str | None, str | None]] = []
    if not spans:
        return found
    async with engine.begin() as connection:
        for span in spans:
            upto = {"upto_at": time_of(span.upto), "upto_number": number_of(span.upto), "known": list(span.known)}
            rows = await connection.execute(DELETE_UNKNOWN, beyond(run_id, span.after) | upto)
            found += [(row[0], row[1]) for row in rows]
    return found
