"""The archiver: from ``stream:archive`` into the event log, every entry exactly once, beside the game.

What happens to a batch, and what a death at each point leaves:

1. it is read for the consumer group - not acknowledged, so its next process (or another consumer) is given it again;
2. what was undone is deleted: rows of facts that the stream has never heard of;
3. it is written in one transaction, rows that are there already aside, and what is new is added to the standings - the
   commit point;
4. it is acknowledged and taken out of the stream - before that it is read again, and conflicts with itself.

A Redis that came back without its end (a power cut, a replica that took over) has undone facts that are in the log
already, and what happens next happens otherwise.  Each fact names the one before it, so whatever the log has between
the two never was; and when an archiver begins, what the log has after the newest fact of all.

While PostgreSQL is away the stream grows, up to the journal's ``ARCHIVE_MAXLEN``; the game never waits.
See docs/decisions/0040-event-log-and-snapshots.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from cluster.archive_stream import ArchiveEntry, ArchiveStream, GroupMissing, Waiting
from cluster.world_run import ensure_run
from config.settings import default
from store import event_log, event_log_days, snapshots, standings
from store.event_log import LogRow, RowRefused, Span, is_before
from streaming.retry_pause import RetryPause

log = structlog.get_logger(__name__)

BATCH: Final = 500
BLOCK_MS: Final = 1_000
#: After a read that had no full batch, so that what happens costs a transaction a second instead of one per tick.
GATHER_S: Final = 1.0
PAUSE_FIRST_S: Final = 0.2
PAUSE_MOST_S: Final = 10.0
CLAIM_EVERY_S: Final = 15.0
#: How long a consumer may hold entries before it is taken for dead.
DEAD_AFTER_MS: Final = 30_000
MEASURE_EVERY_S: Final = 1.0
DAYS_EVERY_S: Final = 600.0
DAYS_AHEAD: Final = 2
STANDINGS_EVERY_S: Final = 60.0
NOTHING: Final = "0-0"
#: How old a fact may be that was undone although none from before it is left.
UNDONE_MOST_MS: Final = 600_000

Away = (RedisError, SQLAlchemyError, OSError, TimeoutError)


class Archiver:
    """One consumer.  ``run`` for ever; ``step`` and ``keep_days`` are its parts.

    Args:
        consumer: Its name in the group; the next process of the same archiver takes the same.
        keep_days: How many days the event log goes back, today not counted.
        has_left: Told of every agent that has left the world, once that is in the log.
    """

    def __init__(
        self,
        redis: Redis,
        engine: AsyncEngine,
        *,
        consumer: str = "archiver-0",
        keep_days: int = default("event_log_keep_days"),
        has_left: Callable[[str], object] = lambda agent_id: None,
    ) -> None:
        self._redis = redis
        self._engine = engine
        self._stream = ArchiveStream(redis, consumer)
        self._keep_days = keep_days
        self._has_left = has_left
        self._run: str | None = None
        self._look_back = True  # at what was given to us and not acknowledged, before anything new
        self._claim_at = 0.0
        self._waiting = Waiting(0, 0.0, 0)
        self._measured_at: float | None = None
        self._trouble: str | None = None
        self.archived = 0
        self.repeated = 0
        self.refused = 0
        self.undone = 0

    # -- for ever --

    async def run(self) -> None:
        """Archive, measure, and keep the log's days, until cancelled; when a dependency is lost, wait for it."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._archive_on(), name="archive")
            group.create_task(self._every(MEASURE_EVERY_S, self._measure), name="archive-measure")
            group.create_task(self._every(DAYS_EVERY_S, self.keep_days), name="archive-days")
            group.create_task(self._every(STANDINGS_EVERY_S, self.keep_standings), name="archive-standings")

    async def _archive_on(self) -> None:
        pause = RetryPause(PAUSE_FIRST_S, PAUSE_MOST_S)
        while True:
            try:
                archived = await self.step(BLOCK_MS)
            except Away as error:
                self._note_trouble(error)
                self._run = None  # it may come back without its end
                await pause.wait()
            else:
                self._trouble = None
                pause.reset()
                if archived < BATCH:
                    await asyncio.sleep(GATHER_S)

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Away as error:
                log.info("archiver_put_off", work=getattr(work, "__name__", ""), error=type(error).__name__)
            await asyncio.sleep(seconds)

    def _note_trouble(self, error: BaseException) -> None:
        if self._trouble is None:
            log.warning("archiver_waits", error=type(error).__name__, waiting=self._waiting.entries)
        self._trouble = type(error).__name__

    # -- one batch --

    async def step(self, block_ms: int = 1) -> int:
        """Archive one batch, waiting up to ``block_ms`` for it; returns its size.

        Raises:
            RedisError, SQLAlchemyError, OSError: what was read is read again by the next step.
        """
        try:
            run_id = self._run or await self._begin()
            entries = await self._next(block_ms)
            if entries:
                # Until it is taken out, the next step looks back: whatever happens here, the batch is not forgotten.
                looked_back, self._look_back = self._look_back, True
                rows = rows_of(entries, run_id)
                await self._delete_undone(run_id, chains(entries))
                # Those that were cut off are counted by ``_measure``.
                self.refused += sum(entry.payload is not None for entry in entries) - len(rows)
                await self._write(rows)
                for row in rows:
                    if row.kind == "leave" and row.agent_id is not None:
                        self._has_left(row.agent_id)
                await self._take([entry.id for entry in entries])
                self._look_back = looked_back
            return len(entries)
        except GroupMissing:
            # A restored or emptied Redis is another run of the world.
            self._run, self._look_back = None, True
            return 0

    async def drain(self) -> None:
        """Archive everything that waits.  Raises as ``step``."""
        while await self.step():
            pass

    async def _begin(self) -> str:
        """Make the group if it is not there, and return the run that entries belong to."""
        await self._stream.prepare()
        await self.keep_standings()  # before any fact: the time that nobody noted ends here
        run_id = await ensure_run(self._redis, self._engine)
        # In this order: what was in the log before Redis is asked must be known to Redis.
        logged = await event_log.last_entry(self._engine, run_id)
        newest = await self._stream.newest()
        if logged is not None and newest != NOTHING and is_before(newest, logged):
            await self._delete_undone(run_id, [Span(newest, logged)])
        self._run = run_id
        return run_id

    async def _delete_undone(self, run_id: str, spans: Sequence[Span]) -> None:
        agents = await event_log.delete_unknown(self._engine, run_id, spans)
        if not agents:
            return
        self.undone += len(agents)
        log.error("archive_undone", run_id=run_id, facts=len(agents))
        # Their last records were undone too.
        whose = {agent_id for some in agents for agent_id in some if agent_id is not None}
        await snapshots.forget_agents(self._engine, whose)
        for agent_id in whose:
            self._has_left(agent_id)

    async def _next(self, block_ms: int) -> list[ArchiveEntry]:
        """Return our own unfinished entries first, then dead consumers', then new ones."""
        if self._look_back:
            entries = await self._stream.own(BATCH)
            if entries:
                return entries
            self._look_back = False
        now = time.monotonic()
        if now >= self._claim_at:
            entries = await self._stream.claim(DEAD_AFTER_MS, BATCH)
            if entries:
                return entries
            self._claim_at = now + CLAIM_EVERY_S
        return await self._stream.fresh(BATCH, block_ms)

    async def _write(self, rows: Sequence[LogRow]) -> None:
        try:
            new = await event_log.insert(self._engine, rows) if rows else 0
        except RowRefused:
            await self._write_one_by_one(rows)
            return
        self._count(len(rows), new)

    async def _write_one_by_one(self, rows: Sequence[LogRow]) -> None:
        """Write each row by itself, so that one that PostgreSQL will never take does not hold up the others."""
        for row in rows:
            try:
                self._count(1, await event_log.insert(self._engine, [row]))
            except RowRefused as error:
                self.refused += 1
                log.error("archive_entry_refused", entry_id=row.entry_id, kind=row.kind, error=str(error))

    def _count(self, rows: int, new: int) -> None:
        self.archived += new
        self.repeated += rows - new

    async def _take(self, ids: Sequence[str]) -> None:
        await self._stream.take(ids)

    # -- beside it --

    async def keep_days(self, now: datetime | None = None) -> None:
        """Make the days' partitions ahead, drop those that are too old.  Raises ``SQLAlchemyError``, ``OSError``."""
        today = (now or datetime.now(UTC)).date()
        made = await event_log_days.make(self._engine, today - timedelta(days=1), today + timedelta(days=DAYS_AHEAD))
        dropped = await event_log_days.drop(self._engine, today - timedelta(days=self._keep_days))
        await standings.forget_chunks(self._engine, datetime.now(UTC) - timedelta(days=self._keep_days))
        if made or dropped:
            log.info("event_log_days", made=[str(day) for day in made], dropped=[str(day) for day in dropped])

    async def keep_standings(self) -> None:
        """Begin the standings' new days and weeks, and note the time.  Raises ``SQLAlchemyError``, ``OSError``."""
        await standings.keep(self._engine, datetime.now(UTC))

    async def _measure(self) -> None:
        lost_before = self._waiting.lost
        self._waiting = await self._stream.measure()
        self._measured_at = time.monotonic()
        if self._waiting.lost > lost_before:
            log.error("archive_entries_lost", lost=self._waiting.lost, waiting=self._waiting.entries)

    def describe(self) -> dict[str, Any]:
        """Return figures for status and metrics; answers at once, whatever is away.

        ``lag_s`` grows by itself while Redis can't be asked.
        """
        since = 0.0 if self._measured_at is None else time.monotonic() - self._measured_at
        stale_s = since if since > 2 * MEASURE_EVERY_S and self._waiting.entries else 0.0
        return {
            "archive_lag_s": round(self._waiting.lag_s + stale_s, 3),
            "archive_waiting": self._waiting.entries,
            "archive_lost": self._waiting.lost,
            "archived": self.archived,
            "archive_repeated": self.repeated,
            "archive_refused": self.refused,
            "archive_undone": self.undone,
            "archive_trouble": self._trouble,
        }


def chains(entries: Sequence[ArchiveEntry]) -> list[Span]:
    """Return each unbroken row of entries, and what it follows: between them the stream has nothing else."""
    spans: list[Span] = []
    for entry in entries:
        if spans and entry.before == spans[-1].upto:
            spans[-1] = Span(spans[-1].after, entry.id, (*spans[-1].known, entry.id))
        elif entry.before == NOTHING:
            # The first fact of all, or of a stream that somebody removed: then there were others, long ago.
            spans.append(Span(f"{max(0, int(entry.id.partition('-')[0]) - UNDONE_MOST_MS)}-0", entry.id, (entry.id,)))
        elif entry.before:
            spans.append(Span(entry.before, entry.id, (entry.id,)))
    return spans


def rows_of(entries: Sequence[ArchiveEntry], run_id: str) -> list[LogRow]:
    """Return the rows of entries; those that were cut off and those that can't be read are left out."""
    rows = (_row(entry.id, entry.payload, run_id) for entry in entries if entry.payload is not None)
    return [row for row in rows if row is not None]


def _row(id_: str, payload: bytes, run_id: str) -> LogRow | None:
    """Return the row of an entry; None, and a line in the log, for what no shard of ours has written."""
    try:
        fact = orjson.loads(payload)
        kind, tick = fact.pop("fact"), fact.pop("tick")
        chunk_id, agent_id = fact.pop("chunk_id", None), fact.pop("agent_id", None)
        return LogRow(id_, run_id, int(tick), chunk_id, agent_id, str(kind), orjson.dumps(fact).decode())
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        log.error("archive_entry_unreadable", entry_id=id_, error=repr(error))
        return None
