from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from store import notes
from store.notes import Note, NotesFull

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_a_note_is_written_over_read_and_forgotten(engine: AsyncEngine) -> None:
    await notes.put(engine, "n-1", Note("plan", "north", NOON))
    await notes.put(engine, "n-1", Note("home", "chunk-0", NOON + timedelta(seconds=1)))
    plan = Note("plan", "south", NOON + timedelta(seconds=2))
    await notes.put(engine, "n-1", plan)
    assert [note.name for note in await notes.of(engine, "n-1")] == ["plan", "home"]
    assert (await notes.of(engine, "n-1", limit=1)) == [plan]
    assert await notes.forget(engine, "n-1", "plan")
    assert not await notes.forget(engine, "n-1", "plan")
    assert [note.name for note in await notes.of(engine, "n-1")] == ["home"]


async def test_the_bound_holds_for_those_that_come_together(engine: AsyncEngine) -> None:
    async def put(number: int) -> bool:
        try:
            await notes.put(engine, "n-2", Note(f"note-{number}", "x", NOON), most=3)
        except NotesFull:
            return False
        return True

    assert sum(await asyncio.gather(*(put(number) for number in range(6)))) == 3
    assert len(await notes.of(engine, "n-2")) == 3
    [first, *_] = await notes.of(engine, "n-2")
    await notes.put(engine, "n-2", Note(first.name, "over it", NOON), most=3)
    with pytest.raises(NotesFull):
        await notes.put(engine, "n-2", Note("another", "x", NOON), most=3)
