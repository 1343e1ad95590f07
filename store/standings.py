"""What the leaderboard is read from: of each agent the gold it harvested, the chunks it discovered, its time alive.

Summed up for the present day and week (of UTC) and for all time, by the very transaction that writes a fact into the
event log or deletes one from it (``store.event_log``): each fact counts once, whatever is repeated.  A leave ends the
time that the agent's last join began; who is in the world now has ``since_ms``, and its time goes on by itself.

``keep`` is called every minute: it begins new days and weeks, and notes that time is being kept account of.  What
passes without anybody noting it (the system was down, or the world put back from a backup) is nobody's time alive.
See docs/decisions/0036-watchers.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from world.ids import HALL

Period = Literal["day", "week", "all"]
Measure = Literal["gold", "chunks", "alive"]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: Taken by every transaction that counts, so that what one has counted the next one knows; any fixed number would do.
LOCK_KEY: Final = 0x7374616E64
KINDS: Final = frozenset({"join", "leave", "harvest", "crossing"})
#: When nobody has noted the time for so long, what passed meanwhile was nobody's.
UNSEEN_MOST: Final = timedelta(minutes=5)
FORGET_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True)
class Fact:
    """What of a fact of the event log is counted."""

    at: datetime
    entry_id: str
    agent_id: str | None
    kind: str
    payload: Mapping[str, Any]

    @property
    def at_ms(self) -> int:
        """When it happened, in milliseconds of Unix time."""
        return ms_of(self.at)


@dataclass(frozen=True, slots=True)
class PeriodSums:
    """An agent in one period."""

    agent_id: str
    gold: int
    chunks: int
    alive_ms: int
    #: Whether it is in the world.
    here: bool


def ms_of(moment: datetime) -> int:
    """Return milliseconds of Unix time, exactly."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def starts_of(now: datetime) -> dict[Period, datetime]:
    """Return when the day and the week (from Monday on) that ``now`` is in began in UTC; for ``all``, 1970."""
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return {"day": day, "week": day - timedelta(days=day.weekday()), "all": EPOCH}


# -- counting --

LOCK: Final = text("SELECT pg_advisory_xact_lock(:key)")
CLOCK: Final = text("SELECT day, seen_at FROM standings_clock")
SINCE: Final = text(
    "SELECT agent_id, since_ms FROM standings"
    " WHERE period = 'all' AND starts = :epoch AND agent_id = ANY(CAST(:agents AS text[]))"
)
DISCOVER: Final = text(
    "INSERT INTO discoveries (chunk_id, agent_id, at, entry_id)"
    " SELECT * FROM unnest(CAST(:chunk_id AS text[]), CAST(:agent_id AS text[]), CAST(:at AS timestamptz[]),"
    " CAST(:entry_id AS text[])) ON CONFLICT (chunk_id) DO NOTHING RETURNING entry_id"
)
ROWS: Final = (
    "unnest(CAST(:period AS text[]), CAST(:starts AS timestamptz[]), CAST(:agent_id AS text[]),"
    " CAST(:gold AS bigint[]), CAST(:chunks AS bigint[]), CAST(:alive_ms AS bigint[]), CAST(:since_ms AS bigint[]))"
    " AS row (period, starts, agent_id, gold, chunks, alive_ms, since_ms)"
)
ADD: Final = text(
    "INSERT INTO standings (period, starts, agent_id, gold, chunks, alive_ms, since_ms, away_rank, here_rank)"
    " SELECT period, starts, agent_id, gold, chunks, alive_ms, since_ms,"
    f" CASE WHEN since_ms IS NULL THEN alive_ms END, alive_ms - since_ms FROM {ROWS}"
    " ON CONFLICT (period, starts, agent_id) DO UPDATE SET gold = standings.gold + excluded.gold,"
    " chunks = standings.chunks + excluded.chunks, alive_ms = standings.alive_ms + excluded.alive_ms,"
    " since_ms = excluded.since_ms,"
    " away_rank = CASE WHEN excluded.since_ms IS NULL THEN standings.alive_ms + excluded.alive_ms END,"
    " here_rank = standings.alive_ms + excluded.alive_ms - excluded.since_ms"
)
TAKE: Final = text(
    "UPDATE standings SET gold = GREATEST(0, standings.gold + row.gold),"
    " chunks = GREATEST(0, standings.chunks + row.chunks),"
    " alive_ms = GREATEST(0, standings.alive_ms + row.alive_ms), since_ms = row.since_ms,"
    " away_rank = CASE WHEN row.since_ms IS NULL THEN GREATEST(0, standings.alive_ms + row.alive_ms) END,"
    " here_rank = GREATEST(0, standings.alive_ms + row.alive_ms) - row.since_ms"
    f" FROM {ROWS} WHERE standings.period = row.period AND standings.starts = row.starts"
    " AND standings.agent_id = row.agent_id"
)


async def lock(connection: AsyncConnection) -> None:
    """Let nobody else count until this transaction ends."""
    await connection.execute(LOCK, {"key": LOCK_KEY})


async def count(connection: AsyncConnection, facts: Iterable[Fact], now: datetime) -> None:
    """Count facts that the log has not had, oldest first.  ``lock`` was called before they were written."""
    counted = [fact for fact in facts if fact.kind in KINDS and fact.agent_id is not None]
    if not counted:
        return
    await _begin_periods(connection, now)
    tally = Tally(starts_of(now), await _since(connection, counted))
    discoveries = await _discovered(connection, counted)
    for fact in counted:
        tally.add(fact, discovery=fact.entry_id in discoveries)
    await connection.execute(ADD, tally.columns())


async def uncount(connection: AsyncConnection, facts: Iterable[Fact], now: datetime) -> None:
    """Take back facts that the log has had until now."""
    counted = sorted(
        (fact for fact in facts if fact.kind in KINDS and fact.agent_id is not None),
        key=lambda fact: (fact.at, int(fact.entry_id.partition("-")[2])),
        reverse=True,
    )
    if not counted:
        return
    await _begin_periods(connection, now)
    tally = Tally(starts_of(now), await _since(connection, counted))
    for fact in counted:
        if fact.kind == "leave":
            await _come_back(connection, tally, fact)
        elif fact.kind == "join":
            tally.of(fact).since_ms = None
        elif fact.kind == "harvest":
            tally.sum_up(fact, gold=-_amount(fact))
        elif await connection.scalar(
            text("DELETE FROM discoveries WHERE chunk_id = :chunk AND entry_id = :entry RETURNING chunk_id"),
            {"chunk": str(fact.payload.get("to_chunk_id")), "entry": fact.entry_id},
        ):
            tally.sum_up(fact, chunks=-1)
    await connection.execute(TAKE, tally.columns())


async def _come_back(connection: AsyncConnection, tally: Tally, fact: Fact) -> None:
    """Take a leave back: the agent is here since it came."""
    joined = await connection.scalar(
        text(
            "SELECT at FROM event_logs WHERE agent_id = :agent AND at <= :at AND kind IN ('join', 'leave')"
            " ORDER BY at DESC LIMIT 1"
        ),
        {"agent": fact.agent_id, "at": fact.at},
    )
    if joined is not None:
        since_ms = ms_of(joined)
        tally.alive(fact, since_ms, fact.at_ms, sign=-1)
        tally.of(fact).since_ms = since_ms


async def _since(connection: AsyncConnection, facts: Sequence[Fact]) -> dict[str, int | None]:
    agents = sorted({fact.agent_id for fact in facts if fact.agent_id is not None})
    rows = await connection.execute(SINCE, {"epoch": EPOCH, "agents": agents})
    return {row.agent_id: row.since_ms for row in rows}


async def _discovered(connection: AsyncConnection, facts: Sequence[Fact]) -> set[str]:
    """Write down who came first into which chunk; return the entries by which somebody did."""
    first: dict[str, Fact] = {}
    for fact in facts:
        if fact.kind == "crossing" and fact.payload.get("to_chunk_id") not in (None, HALL):
            first.setdefault(str(fact.payload["to_chunk_id"]), fact)
    if not first:
        return set()
    columns = {
        "chunk_id": list(first),
        "agent_id": [fact.agent_id for fact in first.values()],
        "at": [fact.at for fact in first.values()],
        "entry_id": [fact.entry_id for fact in first.values()],
    }
    return set(await connection.scalars(DISCOVER, columns))


@dataclass(slots=True)
class _Sums:
    """What is added to an agent's standing, and since when it is here."""

    since_ms: int | None
    by_period: dict[Period, dict[str, int]]


@dataclass(slots=True)
class Tally:
    """What a batch of facts adds to the standings.  ``since``: of those agents that have one."""

    starts: Mapping[Period, datetime]
    since: Mapping[str, int | None]
    _agents: dict[str, _Sums] = field(default_factory=dict)

    def of(self, fact: Fact) -> _Sums:
        """Return the sums of the fact's agent."""
        agent_id = fact.agent_id or ""
        if agent_id not in self._agents:
            sums: dict[Period, dict[str, int]] = {p: {"gold": 0, "chunks": 0, "alive_ms": 0} for p in self.starts}
            self._agents[agent_id] = _Sums(self.since.get(agent_id), sums)
        return self._agents[agent_id]

    def add(self, fact: Fact, *, discovery: bool) -> None:
        """Count a fact."""
        sums = self.of(fact)
        if fact.kind == "harvest":
            self.sum_up(fact, gold=_amount(fact))
        elif discovery:
            self.sum_up(fact, chunks=1)
        elif fact.kind == "join":
            sums.since_ms = fact.at_ms
        elif fact.kind == "leave":
            if sums.since_ms is not None:
                self.alive(fact, sums.since_ms, fact.at_ms)
            sums.since_ms = None

    def sum_up(self, fact: Fact, **amounts: int) -> None:
        """Add to every period that the fact is in."""
        for period, sums in self.of(fact).by_period.items():
            if fact.at >= self.starts[period]:
                for name, amount in amounts.items():
                    sums[name] += amount

    def alive(self, fact: Fact, since_ms: int, until_ms: int, *, sign: int = 1) -> None:
        """Add the agent's time between two moments, to each period what of it was then."""
        for period, sums in self.of(fact).by_period.items():
            sums["alive_ms"] += sign * max(0, until_ms - max(since_ms, ms_of(self.starts[period])))

    def columns(self) -> dict[str, list[Any]]:
        """Return the parameters of ``ADD`` and ``TAKE``, in the order of the primary key."""
        rows = [
            (period, self.starts[period], agent_id, *amounts.values(), _within(sums.since_ms, self.starts[period]))
            for agent_id, sums in self._agents.items()
            for period, amounts in sums.by_period.items()
        ]
        names = ("period", "starts", "agent_id", "gold", "chunks", "alive_ms", "since_ms")
        return {
            name: list(column) for name, column in zip(names, zip(*sorted(rows, key=_key), strict=True), strict=True)
        }


def _key(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return row[:3]


def _within(since_ms: int | None, start: datetime) -> int | None:
    return None if since_ms is None else max(since_ms, ms_of(start))


def _amount(fact: Fact) -> int:
    amount = fact.payload.get("amount", 1)
    return amount if isinstance(amount, int) else 1


# -- time goes on --

END_UNSEEN: Final = text(
    "UPDATE standings SET alive_ms = alive_ms + GREATEST(0, :seen_ms - since_ms),"
    " since_ms = GREATEST(since_ms, :now_ms),"
    " here_rank = alive_ms + GREATEST(0, :seen_ms - since_ms) - GREATEST(since_ms, :now_ms) WHERE since_ms IS NOT NULL"
)
BEGIN_PERIODS: Final = text(
    "INSERT INTO standings (period, starts, agent_id, since_ms, here_rank)"
    " SELECT row.period, row.starts, here.agent_id, GREATEST(here.since_ms, row.start_ms),"
    " -GREATEST(here.since_ms, row.start_ms) FROM standings here"
    " CROSS JOIN (VALUES ('day', CAST(:day AS timestamptz), CAST(:day_ms AS bigint)),"
    " ('week', CAST(:week AS timestamptz), CAST(:week_ms AS bigint))) AS row (period, starts, start_ms)"
    " WHERE here.period = 'all' AND here.starts = :epoch AND here.here_rank IS NOT NULL"
    " ON CONFLICT (period, starts, agent_id) DO NOTHING"
)


async def keep(engine: AsyncEngine, now: datetime) -> None:
    """Begin the day and the week that it is, and note the time.  Raises ``SQLAlchemyError``, ``OSError``."""
    async with engine.begin() as connection:
        await lock(connection)
        clock = (await connection.execute(CLOCK)).one_or_none()
        if clock is not None and now - clock.seen_at > UNSEEN_MOST:
            await connection.execute(END_UNSEEN, {"seen_ms": ms_of(clock.seen_at), "now_ms": ms_of(now)})
        await _begin_periods(connection, now)
        await connection.execute(text("UPDATE standings_clock SET seen_at = :now"), {"now": now})


async def _begin_periods(connection: AsyncConnection, now: datetime) -> None:
    """Drop the days and weeks that are over; whoever is here is so in the new ones from their beginning."""
    starts = starts_of(now)
    clock = (await connection.execute(CLOCK)).one_or_none()
    if clock is not None and clock.day == starts["day"]:
        return
    if clock is None:
        new = text("INSERT INTO standings_clock (day, seen_at) VALUES (:day, :now)")
        await connection.execute(new, {"day": starts["day"], "now": now})
    else:
        await connection.execute(text("UPDATE standings_clock SET day = :day"), {"day": starts["day"]})
    for period in ("day", "week"):
        over = text("DELETE FROM standings WHERE period = :period AND starts <> :starts")
        await connection.execute(over, {"period": period, "starts": starts[period]})
    await connection.execute(
        BEGIN_PERIODS,
        {
            "epoch": EPOCH,
            "day": starts["day"],
            "day_ms": ms_of(starts["day"]),
            "week": starts["week"],
            "week_ms": ms_of(starts["week"]),
        },
    )


async def forget_chunks(engine: AsyncEngine, before: datetime) -> int:
    """Delete discoveries from before a moment whose chunks are no more, a part at a time; return how many.

    A chunk that is no more has no snapshot, and its id does not come again.
    """
    statement = text(
        "DELETE FROM discoveries WHERE chunk_id IN (SELECT d.chunk_id FROM discoveries d WHERE d.at < :before"
        " AND NOT EXISTS (SELECT 1 FROM snapshots s WHERE s.chunk_id = d.chunk_id) ORDER BY d.at LIMIT :most)"
    )
    async with engine.begin() as connection:
        return int((await connection.execute(statement, {"before": before, "most": FORGET_AT_ONCE})).rowcount)


# -- reading --

COLUMNS: Final = "agent_id, gold, chunks, alive_ms, since_ms"
WHOSE: Final = "FROM standings WHERE period = :period AND starts = :starts"
BY_SUM: Final = {
    name: text(f"SELECT {COLUMNS} {WHOSE} AND {name} > 0 ORDER BY {name} DESC, agent_id DESC LIMIT :most")
    for name in ("gold", "chunks")
}
BY_TIME: Final = text(
    f"(SELECT {COLUMNS} {WHOSE} AND here_rank IS NOT NULL ORDER BY here_rank DESC, agent_id DESC LIMIT :most)"
    f" UNION ALL (SELECT {COLUMNS} {WHOSE} AND away_rank > 0 ORDER BY away_rank DESC, agent_id DESC LIMIT :most)"
)
OF_AGENT: Final = text(
    f"SELECT period, {COLUMNS} FROM standings WHERE agent_id = :agent AND (period, starts) IN"
    " (('day', :day), ('week', :week), ('all', :epoch))"
)
FIND: Final = text(
    "SELECT agent_id FROM standings"
    " WHERE period = 'all' AND lower(agent_id) ~>=~ :first AND lower(agent_id) ~<~ :beyond"
    " ORDER BY lower(agent_id) USING ~<~ LIMIT :most"
)
#: Follows every character that an agent's id may have.
BEYOND: Final = "\x7f"


async def board(engine: AsyncEngine, by: Measure, period: Period, most: int, now: datetime) -> list[PeriodSums]:
    """Return the ``most`` first of a period, along an index."""
    parameters = {"period": period, "starts": starts_of(now)[period], "most": most}
    async with engine.connect() as connection:
        until_ms = await _until_ms(connection, now)
        rows = (await connection.execute(BY_TIME if by == "alive" else BY_SUM[by], parameters)).all()
    found = [_sums(row, until_ms) for row in rows]
    if by == "alive":
        found = [one for one in found if one.alive_ms > 0]
        found.sort(key=lambda one: (one.alive_ms, one.agent_id), reverse=True)
    return found[:most]


async def of_agent(engine: AsyncEngine, agent_id: str, now: datetime) -> dict[Period, PeriodSums]:
    """Return an agent's standing by period; empty for one that never was in the world."""
    starts = starts_of(now)
    parameters = {"agent": agent_id, "day": starts["day"], "week": starts["week"], "epoch": EPOCH}
    async with engine.connect() as connection:
        until_ms = await _until_ms(connection, now)
        rows = await connection.execute(OF_AGENT, parameters)
        found: dict[Period, PeriodSums] = {row.period: _sums(row, until_ms) for row in rows}
    nothing = PeriodSums(agent_id, 0, 0, 0, found["all"].here if "all" in found else False)
    return {period: found.get(period, nothing) for period in starts} if "all" in found else {}


async def find(engine: AsyncEngine, prefix: str, most: int) -> list[str]:
    """Return agents that have been in the world whose ids begin so, whatever the case, by name."""
    folded = prefix.lower()
    async with engine.connect() as connection:
        found = await connection.scalars(FIND, {"first": folded, "beyond": folded + BEYOND, "most": most})
        return list(found)


async def _until_ms(connection: AsyncConnection, now: datetime) -> int:
    """Return until when the time of those who are here is known to have gone on."""
    clock = (await connection.execute(CLOCK)).one_or_none()
    return ms_of(now if clock is None else min(now, clock.seen_at + UNSEEN_MOST))


def _sums(row: Any, until_ms: int) -> PeriodSums:
    running = 0 if row.since_ms is None else max(0, until_ms - row.since_ms)
    return PeriodSums(row.agent_id, row.gold, row.chunks, row.alive_ms + running, row.since_ms is not None)
