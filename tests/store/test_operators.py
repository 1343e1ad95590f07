from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from store import operators
from store.api_keys import PrefixTaken
from streaming.shared_clock import utc_now


async def make(engine: AsyncEngine, id_: str, *, name: str = "alice", seconds: float | None = None) -> None:
    ends = None if seconds is None else utc_now() + timedelta(seconds=seconds)
    await operators.create(
        engine, operator_id=id_, name=name, role="viewer", prefix=f"p-{id_}", token_hash="proof", expires_at=ends
    )


async def test_only_the_living_count_and_revoking_is_for_good(fresh_engine: AsyncEngine) -> None:
    engine = fresh_engine
    assert not await operators.any_alive(engine)
    await make(engine, "late", seconds=-1)
    assert not await operators.any_alive(engine)
    await make(engine, "one")
    await make(engine, "two", seconds=60)
    assert await operators.alive(engine, ["one", "two", "late", "none"]) == {"one", "two"}
    assert [one.operator_id for one in await operators.revoke(engine, "one")] == ["one"]
    assert await operators.revoke(engine, "one") == []
    assert {one.operator_id for one in await operators.revoke(engine, "alice")} == {"two", "late"}
    assert not await operators.any_alive(engine)
    found = await operators.find(engine, "p-two")
    assert found is not None
    assert found.revoked_at is not None
    assert "proof" not in repr(found)
    assert await operators.find(engine, "p-none") is None
    assert len(await operators.list_all(engine)) == 3


async def test_a_prefix_is_one_operators(fresh_engine: AsyncEngine) -> None:
    await make(fresh_engine, "one")
    with pytest.raises(PrefixTaken):
        await operators.create(
            fresh_engine, operator_id="x", name="x", role="viewer", prefix="p-one", token_hash="", expires_at=None
        )
