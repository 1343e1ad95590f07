"""What agents think: the reasons that they give for what they do, newest first.

A thought is no fact of the game, so it is not in the event log, which a restored world is cut back to; it is read
beside it.  ``newest`` is one query along ``ix_thoughts_agent_id_at_thought_id``.  Whether somebody else than the owner
may see it is not decided here.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, insert, or_, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from store.event_log import EPOCH, number_of, time_of
from store.models import ThoughtRow

__all__ = ["KEPT_OF_AN_AGENT", "Thought", "add", "delete_before", "newest"]

#: The newest so many of each agent are kept.
KEPT_OF_AN_AGENT: Final = 1_000
#: How many older ones go with each new one, so that a bound that was lowered is reached too.
CUT_AT_ONCE: Final = 20
#: Numbers of thoughts within a millisecond are above those of the event log, which shares their form of ids.
NUMBER_FROM: Final = 10**18
#: Thoughts of one microsecond are told apart, and put in order, by so many random bits.
RANDOM_BITS: Final = 10


@dataclass(frozen=True, slots=True)
class Thought:
    """What an agent thought.

    ``at`` is in whole milliseconds; ``tick`` and ``chunk_id`` are when and where, as far as the world has told;
    ``doing``: the action that it was the reason for, as ``go_to``.
    """

    thought_id: int
    agent_id: str
    at: datetime
    tick: int
    chunk_id: str | None
    doing: str | None
    text: str

    @property
    def entry_id(self) -> str:
        """Its id in the agent's history: as that of an entry of the event log, and higher the later it was."""
        return f"{round(self.at.timestamp() * 1000)}-{NUMBER_FROM + self.thought_id}"


COLUMNS: Final = tuple(getattr(ThoughtRow, name) for name in Thought.__dataclass_fields__)
#: What a new thought pushes out of its agent's newest ``KEPT_OF_AN_AGENT``.
CUT: Final = text(
    "DELETE FROM thoughts WHERE agent_id = :agent_id AND thought_id IN"
    " (SELECT thought_id FROM thoughts WHERE agent_id = :agent_id"
    " ORDER BY at DESC, thought_id DESC OFFSET :kept LIMIT :most)"
)


async def add(
    engine: AsyncEngine,
    agent_id: str,
    line: str,
    *,
    at: datetime,
    doing: str | None = None,
    chunk_id: str | None = None,
    tick: int = 0,
    kept: int = KEPT_OF_AN_AGENT,
) -> Thought:
    """Keep a thought and return it; the agent's oldest ones beyond ``kept`` go."""
    thought_id = (at - EPOCH) // timedelta(microseconds=1) << RANDOM_BITS | secrets.randbits(RANDOM_BITS)
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    values = {
        "thought_id": thought_id,
        "agent_id": agent_id,
        "at": at,
        "tick": tick,
        "chunk_id": chunk_id,
        "doing": doing,
        "text": line,
    }
    async with engine.begin() as connection:
        row = (await connection.execute(insert(ThoughtRow).values(values).returning(*COLUMNS))).one()
        await connection.execute(CUT, {"agent_id": agent_id, "kept": kept, "most": CUT_AT_ONCE})
    return Thought(*row)


async def newest(
    engine: AsyncEngine,
    agent_id: str,
    *,
    before: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 100,
) -> Sequence[Thought]:
    """Return an agent's thoughts, newest first.

    Args:
        before: Only those older than this entry of its history (an ``entry_id``).
        since, until: Only those of that time, the first included, the last not.
        limit: At most so many.
    """
    wheres = [ThoughtRow.agent_id == agent_id]
    if before is not None:
        at, number = time_of(before), number_of(before) - NUMBER_FROM
        # The first half is there for the index; the second tells thoughts of one millisecond apart.
        wheres += [ThoughtRow.at <= at, or_(ThoughtRow.at < at, ThoughtRow.thought_id < number)]
    if since is not None:
        wheres.append(ThoughtRow.at >= since)
    if until is not None:
        wheres.append(ThoughtRow.at < until)
    order = (ThoughtRow.at.desc(), ThoughtRow.thought_id.desc())
    async with engine.connect() as connection:
        rows = await connection.execute(select(*COLUMNS).where(*wheres).order_by(*order).limit(limit))
        return [Thought(*row) for row in rows]


async def delete_before(engine: AsyncEngine, moment: datetime, *, limit: int) -> int:
    """Delete up to ``limit`` thoughts from before ``moment``; return how many."""
    key = tuple_(ThoughtRow.agent_id, ThoughtRow.thought_id)
    old = select(ThoughtRow.agent_id, ThoughtRow.thought_id).where(ThoughtRow.at < moment).limit(limit)
    async with engine.begin() as connection:
        answer = await connection.execute(delete(ThoughtRow).where(key.in_(old)))
        return int(answer.rowcount)
