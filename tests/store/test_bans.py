from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from store import bans
from store.bans import BanLimitReached


async def ban(engine: AsyncEngine, subject: str, minutes: float | None = None) -> bans.Ban:
    return await bans.ban(engine, "agent", subject, reason="why", by="alice", minutes=minutes)


async def test_every_change_shows_in_the_state(fresh_engine: AsyncEngine) -> None:
    seen = [await bans.state(fresh_engine)]
    for change in (ban, ban, lambda engine, subject: bans.unban(engine, "agent", subject), ban):
        await change(fresh_engine, "a-1")
        seen.append(await bans.state(fresh_engine))
    assert all(before != after for before, after in pairwise(seen))


async def test_of_many_at_once_each_has_its_place(fresh_engine: AsyncEngine) -> None:
    await asyncio.gather(*(ban(fresh_engine, f"a-{number}") for number in range(8)))
    rows, total = await bans.newest(fresh_engine, offset=2, limit=3)
    assert (len(rows), total) == (3, 8)
    assert len(await bans.in_force(fresh_engine)) == 8


async def test_a_ban_that_is_over_is_none(fresh_engine: AsyncEngine) -> None:
    assert (await ban(fresh_engine, "short", minutes=0.0001)).until is not None
    await asyncio.sleep(0.05)
    assert await bans.in_force(fresh_engine) == []
    assert await bans.unban(fresh_engine, "agent", "short") is None
    assert await bans.unban(fresh_engine, "agent", "none") is None


async def test_there_is_a_most(fresh_engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bans, "BANS_MOST", 1)
    await ban(fresh_engine, "a-1")
    with pytest.raises(BanLimitReached):
        await ban(fresh_engine, "a-2")
