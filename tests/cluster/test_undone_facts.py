"""The event log after Redis came back without its end: no result twice, and none that was undone."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from cluster.archive_stream import ArchiveEntry
from cluster.archiver import UNDONE_MOST_MS, Archiver, chains
from cluster.graph import init_world
from embedded import children
from embedded.append_only import FOLDER
from embedded.valkey import EmbeddedValkey
from store import event_log, snapshots
from store.engine import make_engine
from store.event_log import Span
from store.snapshots import AgentState
from streaming import keys
from streaming.commit import Batch
from streaming.connect import as_text, connect
from streaming.journal import Journal

pytestmark = pytest.mark.services

DECIDED = keys.members("decided")
COMMANDS = 12


class Valkey:
    """A server with an append-only file whose end can be taken away."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.server = EmbeddedValkey(directory, "for-tests", fsync="always")
        self.path = directory / FOLDER / "appendonly.aof.1.incr.aof"

    def start(self) -> Redis:
        return connect(self.server.start())

    def lose(self, size: int) -> None:
        """End it as a power cut does that leaves ``size`` bytes of its file."""
        [process] = children.leftovers("valkey-server", self.directory)
        process.send_signal(signal.SIGKILL)
        self.server.stop()
        os.truncate(self.path, size)


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[Valkey]:
    valkey = Valkey(tmp_path / "valkey")
    yield valkey
    valkey.server.stop()


@pytest.fixture
async def engine(fresh_postgres_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(fresh_postgres_url)
    yield engine
    await engine.dispose()


async def decide(redis: Redis, journal: Journal, commands: range, how: str) -> None:
    """One commit a command: its result as a fact, and in the same commit that it is decided, and how."""
    for number in commands:
        batch = Batch(tick=number)
        batch.member("decided", f"{number} {how}", joined=True)
        fact = {"fact": "result", "tick": number, "agent_id": f"a-{number}", "server_cmd_id": f"cmd-{number}"}
        batch.archive(orjson.dumps(fact | {"how": how}))
        await journal.commit(batch)


async def logged(engine: AsyncEngine) -> Counter[str]:
    async with engine.connect() as connection:
        statement = text("SELECT tick || ' ' || (payload ->> 'how') FROM event_logs WHERE kind = 'result'")
        return Counter(await connection.scalars(statement))


async def decided(redis: Redis) -> Counter[str]:
    return Counter({as_text(member): 1 for member in await redis.smembers(DECIDED)})


@pytest.mark.parametrize("then", ["nothing", "archive first", "play first", "play on in the same epoch"])
@pytest.mark.parametrize("part", [0.35, 0.6, 0.8, 0.95, 0.999])
async def test_a_tail_that_was_cut_leaves_what_redis_knows(
    valkey: Valkey, engine: AsyncEngine, part: float, then: str
) -> None:
    """Cut at several points; what happens next is archived before or after the loss could be noticed."""
    redis = valkey.start()
    await init_world(redis, seed=1, shard_count=1)
    journal, _ = await Journal.acquire(redis, 0)
    begin = valkey.path.stat().st_size
    archiver = Archiver(redis, engine)
    await decide(redis, journal, range(COMMANDS // 2), "before")
    await archiver.drain()
    await decide(redis, journal, range(COMMANDS // 2, COMMANDS), "before")
    await archiver.drain()
    assert await logged(engine) == await decided(redis)
    await redis.aclose()
    valkey.lose(begin + int((valkey.path.stat().st_size - begin) * part))

    redis = valkey.start()
    known = len(await redis.smembers(DECIDED))
    journal, _ = await Journal.acquire(redis, 0)
    if then == "play on in the same epoch":
        archiver._redis = archiver._stream._redis = redis  # its own connection made anew
    else:
        archiver = Archiver(redis, engine)
    if then == "archive first":
        await archiver.drain()
        assert await logged(engine) == await decided(redis)
    if then != "nothing":
        await decide(redis, journal, range(known, COMMANDS + 3), "after")
    await archiver.drain()
    assert await logged(engine) == await decided(redis)
    assert archiver.undone == COMMANDS - known
    await redis.aclose()


async def test_a_clock_that_was_set_back_hides_nothing(valkey: Valkey, engine: AsyncEngine) -> None:
    """What happens after the cut has the ids of what was undone."""
    redis = valkey.start()
    await init_world(redis, seed=1, shard_count=1)
    archiver = Archiver(redis, engine)

    async def fact(number: int, id_: str, before: str, how: str) -> None:
        payload = {"fact": "result", "tick": number, "server_cmd_id": f"cmd-{number}", "how": how}
        await redis.xadd(keys.ARCHIVE_STREAM, {"m": orjson.dumps(payload), "p": before}, id=id_)

    ids = [f"{1_790_000_000_000 + number * 10}-0" for number in range(6)]
    for number, id_ in enumerate(ids):
        await fact(number, id_, ids[number - 1] if number else "0-0", "before")
    await archiver.drain()
    await redis.delete(keys.ARCHIVE_STREAM)
    await redis.xadd(keys.ARCHIVE_STREAM, {"m": ""}, id=ids[1])
    await redis.xdel(keys.ARCHIVE_STREAM, ids[1])
    await fact(2, ids[2], ids[1], "after")
    await fact(3, ids[4], ids[2], "after")
    await Archiver(redis, engine).drain()
    assert await logged(engine) == Counter(["0 before", "1 before", "2 after", "3 after"])
    await redis.aclose()


async def test_the_last_record_of_an_agent_may_be_of_what_was_undone(valkey: Valkey, engine: AsyncEngine) -> None:
    redis = valkey.start()
    await init_world(redis, seed=1, shard_count=1)
    journal, _ = await Journal.acquire(redis, 0)
    await decide(redis, journal, range(1), "before")
    await Archiver(redis, engine).drain()
    size = valkey.path.stat().st_size
    await decide(redis, journal, range(1, 2), "before")
    await Archiver(redis, engine).drain()
    await snapshots.put(engine, "", [], [AgentState("a-1", 9, {"gold": "9"}), AgentState("a-0", 9, {"gold": "9"})])
    await redis.aclose()
    valkey.lose(size)
    redis = valkey.start()
    left: list[str] = []
    await Archiver(redis, engine, has_left=left.append).drain()
    assert left == ["a-1"]
    await snapshots.put(engine, "", [], [AgentState("a-1", 7, {"gold": "0"}), AgentState("a-0", 7, {"gold": "0"})])
    assert {one.agent_id: one.state["gold"] for one in await snapshots.agents(engine)} == {"a-1": "0", "a-0": "9"}
    await redis.aclose()


def test_only_unbroken_rows_say_that_nothing_is_between() -> None:
    def entry(number: int, before: int | None, payload: bytes | None = b"{}") -> ArchiveEntry:
        return ArchiveEntry(f"{number}-0", payload, "" if before is None else f"{before}-0")

    assert chains([]) == []
    assert chains([entry(5, 4), entry(6, 5), entry(9, 6)]) == [Span("4-0", "9-0", ("5-0", "6-0", "9-0"))]
    # Another consumer has 6; one was cut off and does not say what was before it; one is of an earlier version.
    assert chains([entry(5, 4), entry(7, 6)]) == [Span("4-0", "5-0", ("5-0",)), Span("6-0", "7-0", ("7-0",))]
    assert chains([entry(5, 4), entry(6, None, None), entry(7, 6)]) == [
        Span("4-0", "5-0", ("5-0",)),
        Span("6-0", "7-0", ("7-0",)),
    ]
    assert chains([entry(5, None)]) == []
    # A stream that was removed is no reason to forget everything.
    late = ArchiveEntry("1790000000000-0", b"{}", "0-0")
    assert chains([late]) == [Span(f"{1_790_000_000_000 - UNDONE_MOST_MS}-0", late.id, (late.id,))]


async def test_an_empty_stream_undoes_nothing(valkey: Valkey, engine: AsyncEngine) -> None:
    redis = valkey.start()
    await init_world(redis, seed=1, shard_count=1)
    journal, _ = await Journal.acquire(redis, 0)
    await decide(redis, journal, range(3), "before")
    await Archiver(redis, engine).drain()
    await redis.delete(keys.ARCHIVE_STREAM)
    await Archiver(redis, engine).drain()
    assert sum((await logged(engine)).values()) == 3
    assert await event_log.last_entry(engine, "run_unknown") is None
    await redis.aclose()
