"""The guards and fixtures of tests/conftest.py, since every other test leans on them."""

from __future__ import annotations

import asyncpg
import pytest
from redis.asyncio import Redis


def test_ray_cannot_be_started_by_an_unmarked_test(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("services") is None
    import ray

    with pytest.raises(RuntimeError, match="without @pytest.mark.ray"):
        ray.init()
    assert not ray.is_initialized()


async def test_blank_database_is_ones_own(blank_postgres_url: str, request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("services") is not None  # by itself
    connection = await asyncpg.connect(blank_postgres_url.replace("+asyncpg", ""))
    tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    await connection.close()
    assert tables == 0


@pytest.mark.parametrize("run", [1, 2])
async def test_redis_is_empty_at_the_start_of_each_test(redis: Redis, run: int) -> None:
    assert await redis.dbsize() == 0
    await redis.set("left", run)
