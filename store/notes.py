"""Notes that an agent keeps for itself, by name: a few small ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from config.errors import ServerError
from store.models import NoteRow

__all__ = ["NOTES_MAX", "Note", "NotesFull", "forget", "of", "put"]

#: How many notes an agent may have.
NOTES_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Note:
    """A note and when it was written."""

    name: str
    text: str
    at: datetime


class NotesFull(ServerError):
    """The agent has as many notes as it may have; forget one, or write over one."""

    reason = "notes_full"


async def put(engine: AsyncEngine, agent_id: str, note: Note, *, most: int = NOTES_MAX) -> None:
    """Write a note, over the one of that name if there is one.

    Raises:
        NotesFull: it would be one more than ``most``; nothing was written.
    """
    values = {"agent_id": agent_id, "name": note.name, "text": note.text, "at": note.at}
    statement = insert(NoteRow).values(values)
    statement = statement.on_conflict_do_update(
        index_elements=[NoteRow.agent_id, NoteRow.name], set_={"text": note.text, "at": note.at}
    )
    async with engine.begin() as connection:
        # One writer of an agent's notes at a time, so that the bound holds exactly.
        await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"notes {agent_id}", 0))))
        await connection.execute(statement)
        count = await connection.scalar(select(func.count()).where(NoteRow.agent_id == agent_id))
        if count is not None and count > most:
            raise NotesFull(agent_id)


async def of(engine: AsyncEngine, agent_id: str, *, limit: int = NOTES_MAX) -> Sequence[Note]:
    """Return an agent's notes, written last first."""
    columns = (NoteRow.name, NoteRow.text, NoteRow.at)
    order = (NoteRow.at.desc(), NoteRow.name)
    async with engine.connect() as connection:
        rows = await connection.execute(
            select(*columns).where(NoteRow.agent_id == agent_id).order_by(*order).limit(limit)
        )
        return [Note(*row) for row in rows]


async def forget(engine: AsyncEngine, agent_id: str, name: str) -> bool:
    """Delete a note; return whether there was one."""
    async with engine.begin() as connection:
        answer = await connection.execute(delete(NoteRow).where(NoteRow.agent_id == agent_id, NoteRow.name == name))
        return bool(answer.rowcount)
