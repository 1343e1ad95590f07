"""The event log: batches written once, read back by agent or chunk.  Its days: ``store.event_log_days``.

An entry's id in ``stream:archive`` (``{ms}-{n}``) holds its time, so id and time together are the key, and writing an
entry again conflicts with itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, and_, cast, func, or_, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from config.errors import ServerError
from store import standings
from store.models import EventLog
from store.standings import Fact

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: SQLSTATE class 22, "data exception": this row will be refused for ever.
BAD_DATA: Final = "22"

INSERT: Final = text(
    "INSERT INTO event_logs (at, entry_id, run_id, tick, chunk_id, agent_id, kind, payload)"
    " SELECT at, entry_id, run_id, tick, chunk_id, agent_id, kind, CAST(payload AS jsonb)"
    " FROM unnest(CAST(:at AS timestamptz[]), CAST(:entry_id AS text[]), CAST(:run_id AS text[]),"
    " CAST(:tick AS bigint[]), CAST(:chunk_id AS text[]), CAST(:agent_id AS text[]), CAST(:kind AS text[]),"
    " CAST(:payload AS text[])) AS row (at, entry_id, run_id, tick, chunk_id, agent_id, kind, payload)"
    " ON CONFLICT (at, entry_id) DO NOTHING RETURNING entry_id"
)
#: What is said of deleted facts, which no longer count (``store.standings``).
DELETED: Final = "event_logs.at, event_logs.entry_id, event_logs.agent_id, event_logs.kind, event_logs.payload"
# Another fact under the same id: the earlier one was undone, and Redis' clock set back.
DELETE_OTHERS: Final = text(
    "DELETE FROM event_logs USING unnest(CAST(:at AS timestamptz[]), CAST(:entry_id AS text[]),"
    " CAST(:run_id AS text[]), CAST(:tick AS bigint[]), CAST(:kind AS text[]), CAST(:payload AS text[]))"
    " AS row (at, entry_id, run_id, tick, kind, payload)"
    # The first condition is for the partitions.
    " WHERE event_logs.at BETWEEN :first AND :last AND event_logs.at = row.at AND event_logs.entry_id = row.entry_id"
    " AND event_logs.run_id = row.run_id AND (event_logs.tick, event_logs.kind, event_logs.payload)"
    f" IS DISTINCT FROM (row.tick, row.kind, CAST(row.payload AS jsonb)) RETURNING {DELETED}"
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


async def insert(engine: AsyncEngine, rows: Sequence[LogRow], now: datetime | None = None) -> int:
    """Write rows, those that are there already aside, and count them, in one transaction; return how many were new.

    Args:
        now: When it is, for the standings' day and week.

    Raises:
        RowRefused: nothing was written; tried one by one, all but the bad ones will be.
        SQLAlchemyError, OSError: the database is away; whether it was written is not known.
    """
    now = now or datetime.now(UTC)
    try:
        async with engine.begin() as connection:
            await standings.lock(connection)
            new = await _write(connection, rows)
            known = [row for row in rows if row.entry_id not in new]
            if known:
                new |= await _replace(connection, known, now)
            await standings.count(connection, [_fact(row) for row in rows if row.entry_id in new], now)
            return len(new)
    except DBAPIError as error:
        if str(getattr(error.orig, "sqlstate", "")).startswith(BAD_DATA):
            raise RowRefused(str(error.orig)) from None
        raise


async def _write(connection: AsyncConnection, rows: Sequence[LogRow]) -> set[str]:
    """Write rows; return the ids of those that were not there."""
    return set(await connection.scalars(INSERT, _columns(rows, COLUMNS)))


async def _replace(connection: AsyncConnection, rows: Sequence[LogRow], now: datetime) -> set[str]:
    """Write rows in the place of other ones that have their ids; return the ids of those."""
    times = [row.at for row in rows]
    columns = _columns(rows, ("at", "entry_id", "run_id", "tick", "kind", "payload"))
    deleted = await connection.execute(DELETE_OTHERS, columns | {"first": min(times), "last": max(times)})
    others = [Fact(*row) for row in deleted]
    if not others:
        return set()
    await standings.uncount(connection, others, now)
    ids = {fact.entry_id for fact in others}
    return await _write(connection, [row for row in rows if row.entry_id in ids])


def _columns(rows: Sequence[LogRow], names: Sequence[str]) -> dict[str, list[Any]]:
    return {name: [getattr(row, name) for row in rows] for name in names}


def _fact(row: LogRow) -> Fact:
    payload = json.loads(row.payload) if row.kind in standings.KINDS else {}
    return Fact(row.at, row.entry_id, row.agent_id, row.kind, payload if isinstance(payload, dict) else {})


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


@dataclass(frozen=True, slots=True)
class Said:
    """What an agent said, and where."""

    at: datetime
    entry_id: str
    chunk_id: str | None
    text: str


async def said(engine: AsyncEngine, agent_id: str, limit: int) -> list[Said]:
    """Return what an agent said, newest first, at most ``limit``."""
    statement = (
        select(EventLog.at, EventLog.entry_id, EventLog.chunk_id, EventLog.payload["text"].astext)
        .where(EventLog.agent_id == agent_id, EventLog.kind == "chat")
        .order_by(EventLog.at.desc(), NUMBER.desc())
        .limit(limit)
    )
    async with engine.connect() as connection:
        return [Said(row[0], row[1], row[2], row[3] or "") for row in await connection.execute(statement)]


async def last_entry(engine: AsyncEngine, run_id: str | None = None) -> str | None:
    """Return the highest entry id of the log, or of one run in it; None when there is none."""
    wheres = [] if run_id is None else [EventLog.run_id == run_id]
    async with engine.connect() as connection:
        newest = await connection.scalar(select(EventLog.at).where(*wheres).order_by(EventLog.at.desc()).limit(1))
        if newest is None:
            return None
        names = await connection.scalars(select(EventLog.entry_id).where(EventLog.at == newest, *wheres))
        return max(names, key=number_of)


# In both the first condition on ``at`` is there for the index and the partitions: by the second alone, an OR,
# PostgreSQL would look at all facts of the run.
BEYOND: Final = (
    "run_id = :run_id AND at >= :at AND (at > :at OR CAST(split_part(entry_id, '-', 2) AS bigint) > :number)"
)
UP_TO: Final = "at <= :upto_at AND (at < :upto_at OR CAST(split_part(entry_id, '-', 2) AS bigint) <= :upto_number)"


def beyond(run_id: str, position: str) -> dict[str, Any]:
    """Return the parameters of ``BEYOND``: the facts of ``run_id`` after the entry ``position``."""
    return {"run_id": run_id, "at": time_of(position), "number": number_of(position)}


async def cut_after(engine: AsyncEngine, run_id: str, position: str, now: datetime | None = None) -> int:
    """Delete what ``run_id`` logged after ``position``, which a restored world never saw; return how many."""
    async with engine.begin() as connection:
        await standings.lock(connection)
        statement = text(f"DELETE FROM event_logs WHERE {BEYOND} RETURNING {DELETED}")
        deleted = [Fact(*row) for row in await connection.execute(statement, beyond(run_id, position))]
        await standings.uncount(connection, deleted, now or datetime.now(UTC))
        return len(deleted)


DELETE_UNKNOWN: Final = text(
    f"DELETE FROM event_logs WHERE {BEYOND} AND {UP_TO} AND entry_id <> ALL(CAST(:known AS text[])) RETURNING {DELETED}"
)


async def delete_unknown(
    engine: AsyncEngine, run_id: str, spans: Sequence[Span], now: datetime | None = None
) -> list[tuple[str | None, str | None]]:
    """Delete those facts of ``run_id`` within ``spans`` that the spans do not know.

    Returns:
        Of each such fact the agent it was about, and the one that was given something by it.
    """
    found: list[Fact] = []
    if not spans:
        return []
    async with engine.begin() as connection:
        await standings.lock(connection)
        for span in spans:
            upto = {"upto_at": time_of(span.upto), "upto_number": number_of(span.upto), "known": list(span.known)}
            rows = await connection.execute(DELETE_UNKNOWN, beyond(run_id, span.after) | upto)
            found += [Fact(*row) for row in rows]
        await standings.uncount(connection, found, now or datetime.now(UTC))
    return [(fact.agent_id, fact.payload.get("to")) for fact in found]
