"""The archiver: every fact once, whatever dies in between; what waits and what was lost; the log's days."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from cluster import archiver as module
from cluster.archive_metrics import archive_families
from cluster.archive_stream import GROUP
from cluster.archiver import Archiver
from cluster.graph import init_world
from cluster.local import LocalWorld
from cluster.shard.config import ShardConfig
from store import event_log, event_log_days
from store.engine import make_engine
from store.event_log import LogRow
from streaming import keys
from streaming.cancellable import end
from tests.cluster.lasting import empty_redis
from tests.cluster.worlds import player, until
from world.rules import Rules

QUICK = ShardConfig(presence_pause_after_stall_s=0.2, presence_interval_s=0.1)
STEPS = ("before the transaction", "after the transaction", "after the acknowledgement")


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


class Mortal(Archiver):
    """Dies once, at one of ``STEPS``."""

    dies: str | None = None

    async def _write(self, rows: Sequence[LogRow]) -> None:
        self._die("before the transaction")
        await super()._write(rows)
        self._die("after the transaction")

    async def _take(self, ids: Sequence[str]) -> None:
        await super()._take(ids)
        self._die("after the acknowledgement")

    def _die(self, step: str) -> None:
        if self.dies == step:
            raise Killed(step)


@pytest.fixture
async def engine(fresh_postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(fresh_postgres_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    async with empty_redis(valkey_url) as client:
        yield client


@pytest.fixture
async def world(redis: Redis) -> Redis:
    """A Redis that holds a world, without shards."""
    await init_world(redis, seed=1, shard_count=1)
    return redis


async def say(redis: Redis, first: int, last: int) -> None:
    """Facts ``first`` .. ``last`` - 1, as the journal writes them."""
    for number in range(first, last):
        fact = {"fact": "chat", "tick": number, "chunk_id": "chunk-0", "agent_id": "a", "text": f"no {number}"}
        await redis.xadd(keys.ARCHIVE_STREAM, {"m": orjson.dumps(fact)})


async def logged(engine: AsyncEngine) -> list[int]:
    """Ticks of all rows, repeated as often as they are there."""
    async with engine.connect() as connection:
        return [int(tick) for tick in await connection.scalars(text("SELECT tick FROM event_logs ORDER BY tick"))]


async def test_facts_are_written_and_taken_out(world: Redis, engine: AsyncEngine) -> None:
    await say(world, 0, 7)
    archiver = Archiver(world, engine)
    assert await archiver.step() == 7
    assert await archiver.step() == 0
    assert await logged(engine) == list(range(7))
    assert await world.xlen(keys.ARCHIVE_STREAM) == 0
    [event] = await event_log.read(engine, agent_id="a", limit=1)
    assert (event.kind, event.chunk_id, event.payload) == ("chat", "chunk-0", {"text": "no 6"})
    assert abs(event.at - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("consumer", ["archiver-0", "another"])
@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_each_step_nothing_is_missing_or_twice(
    world: Redis, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, step: str, consumer: str
) -> None:
    monkeypatch.setattr(module, "BATCH", 3)
    monkeypatch.setattr(module, "DEAD_AFTER_MS", 0)
    await say(world, 0, 8)
    first = Mortal(world, engine)
    assert await first.step() == 3
    first.dies = step
    with pytest.raises(Killed):
        await first.step()
    await say(world, 8, 10)
    # The next process has the same name; an archiver of another name takes over what the dead one was given.
    await Archiver(world, engine, consumer=consumer).drain()
    assert await logged(engine) == list(range(10))
    assert await world.xlen(keys.ARCHIVE_STREAM) == 0
    [group] = await world.xinfo_groups(keys.ARCHIVE_STREAM)
    assert group["pending"] == 0


async def test_killed_again_and_again(world: Redis, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 4)
    for turn in range(12):
        await say(world, turn * 5, turn * 5 + 5)
        archiver = Mortal(world, engine)
        archiver.dies = STEPS[turn % 3]
        with pytest.raises(Killed):
            await archiver.step()
    await Archiver(world, engine).drain()
    assert await logged(engine) == list(range(60))


async def test_two_at_once_write_each_fact_once(world: Redis, engine: AsyncEngine) -> None:
    archivers = [Archiver(world, engine, consumer=f"archiver-{number}") for number in range(2)]
    for archiver in archivers:
        await archiver.step()

    async def work(archiver: Archiver) -> None:
        while await archiver.step(block_ms=200):
            pass

    working = [asyncio.create_task(work(archiver)) for archiver in archivers]
    await say(world, 0, 300)
    await asyncio.gather(*working)
    for archiver in archivers:
        await archiver.drain()
    assert await logged(engine) == list(range(300))


async def test_a_database_that_is_away_loses_nothing(world: Redis, engine: AsyncEngine) -> None:
    away = make_engine("postgresql+asyncpg://nobody:x@127.0.0.1:9/none")
    archiver = Archiver(world, engine)
    await archiver.step()
    await say(world, 0, 5)
    archiver._engine = away
    for _ in range(2):
        with pytest.raises(OSError, match="9"):
            await archiver.step()
    archiver._engine = engine
    await say(world, 5, 8)
    await archiver.drain()
    assert await logged(engine) == list(range(8))
    await away.dispose()


async def test_a_bad_fact_does_not_hold_up_the_others(world: Redis, engine: AsyncEngine) -> None:
    await say(world, 0, 2)
    for payload in (
        b"not json",
        b"[]",
        b"{}",
        b'{"fact":"chat","tick":5,"text":"\\u0000"}',
        b'{"fact":"x","tick":1e30}',
    ):
        await world.xadd(keys.ARCHIVE_STREAM, {"m": payload})
    await world.xadd(keys.ARCHIVE_STREAM, {"other": "field"})
    await say(world, 2, 4)
    archiver = Archiver(world, engine)
    await archiver.drain()
    assert await logged(engine) == [0, 1, 2, 3]
    assert archiver.describe()["archive_refused"] == 5
    assert await world.xlen(keys.ARCHIVE_STREAM) == 0


async def test_what_waits_and_since_when(world: Redis, engine: AsyncEngine) -> None:
    archiver = Archiver(world, engine)
    await archiver._measure()
    assert (archiver.describe()["archive_waiting"], archiver.describe()["archive_lag_s"]) == (0, 0.0)
    seconds, _ = await world.time()
    await world.xadd(keys.ARCHIVE_STREAM, {"m": b"{}"}, id=f"{(seconds - 90) * 1000}-0")
    await say(world, 0, 2)
    await archiver._measure()
    described = archiver.describe()
    assert described["archive_waiting"] == 3
    assert 88 < described["archive_lag_s"] < 100
    await archiver.drain()
    await archiver._measure()
    assert (archiver.describe()["archive_waiting"], archiver.describe()["archive_lag_s"]) == (0, 0.0)


async def test_what_was_cut_off_unread_is_counted(world: Redis, engine: AsyncEngine) -> None:
    archiver = Archiver(world, engine)
    await say(world, 0, 10)
    await archiver.step()
    await say(world, 10, 30)
    await world.xtrim(keys.ARCHIVE_STREAM, maxlen=5, approximate=False)
    await archiver.drain()
    await archiver._measure()
    assert await logged(engine) == [*range(10), *range(25, 30)]
    assert archiver.describe()["archive_lost"] == 15
    # And those that were cut off after they had been given to somebody.
    await say(world, 30, 34)
    await archiver._stream.fresh(4, 1)
    await world.xtrim(keys.ARCHIVE_STREAM, maxlen=1, approximate=False)
    await Archiver(world, engine).drain()
    await archiver._measure()
    assert await logged(engine) == [*range(10), *range(25, 30), 33]
    assert archiver.describe()["archive_lost"] == 18
    [group] = await world.xinfo_groups(keys.ARCHIVE_STREAM)
    assert group["pending"] == 0


async def test_an_emptied_redis_is_another_run(world: Redis, engine: AsyncEngine) -> None:
    archiver = Archiver(world, engine)
    await say(world, 0, 2)
    await archiver.drain()
    await world.flushdb()
    await archiver.step()
    with pytest.raises(RedisError, match="no world"):
        await archiver.step()
    await init_world(world, seed=2, shard_count=1)
    await say(world, 2, 4)
    await archiver.drain()
    async with engine.connect() as connection:
        counts = (
            await connection.execute(
                text(
                    "SELECT r.seed, r.ended_at IS NULL AS lives, count(*) FROM event_logs e"
                    " JOIN runs r USING (run_id) GROUP BY 1, 2 ORDER BY 1"
                )
            )
        ).all()
    assert [tuple(row) for row in counts] == [(1, False, 2), (2, True, 2)]


async def test_days_are_made_ahead_and_dropped_in_time(world: Redis, engine: AsyncEngine) -> None:
    archiver = Archiver(world, engine, keep_days=14)
    start = datetime(2026, 2, 20, 23, 59, tzinfo=UTC)
    for day in range(20):
        await archiver.keep_days(start + timedelta(days=day))
    days = await event_log_days.days(engine)
    today = (start + timedelta(days=19)).date()
    assert days == [today + timedelta(days=number) for number in range(-14, 3)]


async def test_full_batches_follow_each_other_without_a_pause(
    world: Redis, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 10)
    monkeypatch.setattr(module, "GATHER_S", 3_600.0)
    await say(world, 0, 95)
    archiver = Archiver(world, engine)
    running = asyncio.create_task(archiver.run())

    async def all_of_them() -> bool:
        return archiver.archived == 95

    try:
        await until(all_of_them, "all facts in the log")
    finally:
        await end(running)


async def test_run_goes_on_while_the_world_plays(redis: Redis, engine: AsyncEngine) -> None:
    """Joins, results, chat and leaves of a real world, archived beside it."""
    left: list[str] = []
    async with LocalWorld(redis, shards=2, rules=Rules(demo=False), config=QUICK) as world:
        running = asyncio.create_task(Archiver(redis, engine, has_left=left.append).run())
        agent = await player(world, "a")
        _, x, y = await agent.place()
        await agent.move(x + 1 if x < 25 else x - 1, y)
        await agent.submit({"type": "say", "text": "hällo"})
        await agent.result()
        await redis.zadd(keys.PRESENCE, {"a": 0})

        async def told() -> bool:
            return left == ["a"]

        async def today_made() -> bool:
            return datetime.now(UTC).date() in await event_log_days.days(engine)

        try:
            await until(told, "the leave in the log")
            await until(today_made, "today's partition")
        finally:
            await end(running)
    kinds = [event.kind for event in await event_log.read(engine, agent_id="a")]
    assert kinds[0] == "join"
    assert kinds[-1] == "leave"
    assert sorted(kinds) == sorted(["join", "result", "chat", "result", "leave"])


def test_metrics_have_the_figures_and_no_labels() -> None:
    described = {"archive_lag_s": 1.5, "archive_waiting": 3, "archive_lost": 2, "backup_age_s": None, "archived": 9}
    samples = {sample.name: sample for family in archive_families(described) for sample in family.samples}
    assert {name: sample.value for name, sample in samples.items()} == {
        "archive_lag_seconds": 1.5,
        "archive_entries_waiting": 3.0,
        "archive_events_total": 9.0,
        "archive_events_lost_total": 2.0,
    }
    assert not any(sample.labels for sample in samples.values())


async def test_the_group_begins_with_the_oldest(world: Redis, engine: AsyncEngine) -> None:
    """Facts from before the first archiver are not lost."""
    await say(world, 0, 3)
    await Archiver(world, engine).drain()
    assert await logged(engine) == [0, 1, 2]
    assert [group["name"] for group in await world.xinfo_groups(keys.ARCHIVE_STREAM)] == [GROUP.encode()]
