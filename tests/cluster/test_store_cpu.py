"""What PostgreSQL and Redis have used of processors, asked of real ones."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from api.exposition import Family
from cluster import store_cpu
from cluster.store_cpu import StoreCpu
from store.engine import make_engine


def seconds(families: list[Family], server: str) -> float | None:
    (found,) = families
    return found.samples.get(f'server_cpu_seconds{{server="{server}"}}')


async def test_both_are_told_and_postgresql_with_all_its_processes(redis: Redis, postgres_url: str) -> None:
    engine = make_engine(postgres_url)
    stores = StoreCpu(redis, engine)
    first = await stores.families()
    before, of_redis = seconds(first, "postgresql"), seconds(first, "redis")
    assert of_redis is not None
    assert of_redis > 0
    assert before is not None
    async with engine.connect() as connection:
        pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        await connection.execute(text("SELECT count(*) FROM generate_series(1, 2000000)"))
        used = psutil.Process(pid).cpu_times()
    await engine.dispose()  # its process ends, and what it has used is the server's still
    after = seconds(await StoreCpu(redis, engine).families(), "postgresql")
    assert after is not None
    assert after - before >= 0.8 * (used.user + used.system) > 0
    await engine.dispose()


@pytest.mark.parametrize("url", ["postgresql+asyncpg://a:b@db.example.com/x", "postgresql+asyncpg://a:b@127.0.0.1:1/x"])
async def test_what_is_elsewhere_or_away_is_left_out(url: str) -> None:
    away = Redis(host="127.0.0.1", port=1)
    families = await StoreCpu(away, make_engine(url)).families()
    assert families[0].samples == {}
    await away.aclose()


async def test_somebody_elses_process_of_that_number_is_not_counted(
    redis: Redis, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_cpu, "POSTGRES_NAME", "something-else")
    engine = make_engine(postgres_url)
    assert seconds(await StoreCpu(redis, engine).families(), "postgresql") is None
    await engine.dispose()


def test_this_process_knows_how_long_its_loop_had_to_wait() -> None:
    from cluster.metrics_report import process_families

    names = {family.name for family in process_families("shard-0")}
    assert ("event_loop_wait_seconds_total" in names) is Path("/proc/self/schedstat").exists()
