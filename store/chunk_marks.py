"""When something happened in a chunk, from the event log: counts by kind and part of a span, no names, no texts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, cast

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

Kind = Literal["chat", "harvest", "crossing", "join", "leave"]

#: Facts that one answer looks at, of the chunk and of those who came into it; the newest count.
FACTS_MOST: Final = 20_000

# What came in by a crossing is logged under the chunk that was left.
_MARKS: Final = text(
    "WITH seen AS (SELECT tick, kind FROM event_logs WHERE chunk_id = :chunk_id AND run_id = :run_id"
    " AND tick BETWEEN :first AND :last AND at BETWEEN :since AND :until ORDER BY tick DESC LIMIT :most),"
    " came AS (SELECT tick, kind FROM event_logs WHERE kind = 'crossing' AND payload ->> 'to_chunk_id' = :chunk_id"
    " AND run_id = :run_id AND at BETWEEN :since AND :until AND tick BETWEEN :first AND :last"
    " ORDER BY at DESC LIMIT :most)"
    " SELECT min(tick), kind, count(*) FROM (SELECT * FROM seen UNION ALL SELECT * FROM came) AS facts"
    " WHERE kind IN ('chat', 'harvest', 'crossing', 'join', 'leave')"
    " GROUP BY kind, (tick - :first) / :size"
    " UNION ALL SELECT min(tick), '', count(*) FROM seen UNION ALL SELECT min(tick), '', count(*) FROM came"
)


@dataclass(frozen=True, slots=True)
class Mark:
    """Something happened ``count`` times in a part of the span, at ``tick`` first."""

    tick: int
    kind: Kind
    count: int


@dataclass(frozen=True, slots=True)
class Marks:
    """Marks by tick, and from which tick on nothing is left out; None: nothing is known."""

    marks: list[Mark]
    known_from: int | None


async def read_marks(
    engine: AsyncEngine,
    run_id: str,
    chunk_id: str,
    ticks: tuple[int, int],
    times: tuple[datetime, datetime],
    *,
    size: int,
) -> Marks:
    """Return when something happened in a chunk, in one run of the world.

    Args:
        ticks: the first and the last that are wanted.
        times: about when they were, so that only those days are looked at.
        size: ticks that make one part of the span.

    Raises:
        SQLAlchemyError, OSError: the database is away.
    """
    wanted = {"run_id": run_id, "chunk_id": chunk_id, "first": ticks[0], "last": ticks[1]}
    bounds = {"since": times[0], "until": times[1], "size": size, "most": FACTS_MOST}
    marks: list[Mark] = []
    known_from = ticks[0]
    async with engine.connect() as connection:
        rows = await connection.execute(_MARKS, wanted | bounds)
        for tick, kind, count in rows:
            if kind:
                marks.append(Mark(tick, cast(Kind, kind), count))
            elif count == FACTS_MOST:
                known_from = max(known_from, tick + 1)
    known = [mark for mark in marks if mark.tick >= known_from]
    return Marks(sorted(known, key=lambda mark: (mark.tick, mark.kind)), known_from)
