"""What lasting costs: facts archived a second, a look at all chunks, the moment in which a backup holds Redis.

python tests/bench/bench_archive.py [--chunks 1000] [--agents 10000] [--facts 20000]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson

sys.path.insert(0, str(Path(__file__).parents[2]))

from cluster.archiver import Archiver
from cluster.chunk_dump import ChunkDump
from cluster.graph import init_world
from cluster.snapshots import Snapshotter
from embedded.services import EmbeddedServices
from migrations.run import upgrade
from operations.backup import make_backup, verify_backup
from operations.world_dump import WorldDump, read_world
from operations.world_load import write_world
from operations.world_settle import beginning, settle
from store.engine import make_engine
from streaming import keys
from streaming.connect import connect
from world.ids import AgentId, ChunkId
from world.records import AgentRecord
from world.rules import Rules

RULES = Rules(demo=False)


def big_world(dump: WorldDump, chunks: int, agents: int) -> WorldDump:
    """``dump`` with a row of chunks, and agents spread over them; a tenth as many are away."""
    start = dump.chunks["chunk-0"]
    for number in range(chunks):
        fields = (
            dict(start.fields) if number == 0 else {"number": str(number), "entry": "W", "pinned": "0", "shard": "0"}
        )
        if number:
            fields["W"] = f"chunk-{number - 1}"
        if number < chunks - 1:
            fields["E"] = f"chunk-{number + 1}"
        dump.chunks[f"chunk-{number}"] = ChunkDump(fields)
    for number in range(agents + agents // 10):
        id_, home = f"agent-{number}", f"chunk-{number % chunks}"
        record = AgentRecord(AgentId(id_), ChunkId(home), 25, 25)
        here = number < agents
        dump.agents[id_] = {
            "chunk": home,
            "here": "1" if here else "0",
            "busy": "",
            "rec": orjson.dumps(record.to_json()).decode(),
            "seq": "7",
            "account": "acc_1",
        }
        if here:
            dump.chunks[home].members.append(id_)
    return replace(dump)


class Stall:
    """The longest time that Redis let a small command wait while the block ran."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self.longest_ms = 0.0

    async def __aenter__(self) -> Stall:
        self._task = asyncio.create_task(self._ask())
        await asyncio.sleep(0.1)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _ask(self) -> None:
        probe = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROBE, self._redis, stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.PIPE
        )
        try:
            await asyncio.sleep(3600)
        finally:
            assert probe.stdin is not None
            probe.stdin.close()
            out, _ = await probe.communicate()
            self.longest_ms = float(out or b"nan")


#: In a process of its own, so that it measures Redis and not our loop.
PROBE = """
import redis, select, sys, time
client = redis.Redis.from_url(sys.argv[1])
longest = 0.0
while not select.select([sys.stdin], [], [], 0.001)[0]:
    began = time.perf_counter()
    client.ping()
    longest = max(longest, time.perf_counter() - began)
print(longest * 1000)
"""


async def main(urls: Any, room: Path, options: argparse.Namespace) -> None:
    redis, engine = connect(urls.redis_url, socket_timeout_s=60), make_engine(urls.database_url)
    await upgrade(urls.database_url)
    await init_world(redis, seed=1, shard_count=4)
    await measure_facts(redis, engine, options.facts)
    dump = await read_world(redis)
    assert dump is not None
    dump = big_world(dump, options.chunks, options.agents)
    began = time.perf_counter()
    settled = settle(dump, beginning(dump, "run_bench", now_ms=int(time.time() * 1000), tick_hz=5), RULES)
    print(f"settling {options.chunks} chunks, {len(dump.agents)} agents: {time.perf_counter() - began:.2f} s")
    async with Stall(urls.redis_url) as stall:
        began = time.perf_counter()
        await write_world(redis, settled)
        took = time.perf_counter() - began
    print(f"writing it into Redis: {took:.2f} s; Redis held for {stall.longest_ms:.0f} ms")
    async with Stall(urls.redis_url) as stall:
        began = time.perf_counter()
        await read_world(redis)
        took = time.perf_counter() - began
    print(f"reading it at one moment: {took:.2f} s; Redis held for {stall.longest_ms:.0f} ms")
    snapshotter = Snapshotter(redis, engine, keep=timedelta(days=3))
    async with Stall(urls.redis_url) as stall:
        began = time.perf_counter()
        taken = await snapshotter.look()
        took = time.perf_counter() - began
    print(f"a first look, {taken} snapshots: {took:.2f} s; Redis held for {stall.longest_ms:.0f} ms")
    began = time.perf_counter()
    taken = await snapshotter.look()
    print(f"a look when nothing has changed, {taken} snapshots: {time.perf_counter() - began:.2f} s")
    began = time.perf_counter()
    made = await make_backup(redis, urls.database_url, room / "b")
    print(f"a backup: {time.perf_counter() - began:.2f} s, {made.bytes / 1e6:.1f} MB")
    began = time.perf_counter()
    await verify_backup(room / "b")
    print(f"checking it: {time.perf_counter() - began:.2f} s")
    await redis.aclose()
    await engine.dispose()


def facts_per_s(count: int) -> float:
    """How many facts an archiver takes in a second, on servers of its own."""

    async def run(urls: Any) -> float:
        redis, engine = connect(urls.redis_url, socket_timeout_s=60), make_engine(urls.database_url)
        await upgrade(urls.database_url)
        await init_world(redis, seed=1, shard_count=4)
        try:
            return await measure_facts(redis, engine, count)
        finally:
            await redis.aclose()
            await engine.dispose()

    with tempfile.TemporaryDirectory(prefix="ccbench-") as name, EmbeddedServices(Path(name) / "data") as urls:
        return asyncio.run(run(urls))


async def measure_facts(redis: Any, engine: Any, count: int) -> float:
    """Archive so many facts; returns how many a second."""
    fact = orjson.dumps(
        {
            "fact": "result",
            "tick": 1,
            "chunk_id": "chunk-0",
            "agent_id": "a",
            "server_cmd_id": "x" * 26,
            "status": "completed",
        }
    )
    pipe = redis.pipeline(transaction=False)
    for _ in range(count):
        pipe.xadd(keys.ARCHIVE_STREAM, {"m": fact})
    await pipe.execute()
    archiver = Archiver(redis, engine)
    await archiver.keep_days()
    began, cpu = time.perf_counter(), time.process_time()
    await archiver.drain()
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(f"archiving {count} facts: {count / took:.0f} a second, {cpu / count * 1e6:.0f} us of CPU each")
    return count / took


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--chunks", type=int, default=1_000)
    parser.add_argument("--agents", type=int, default=10_000)
    parser.add_argument("--facts", type=int, default=20_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ccbench-") as name, EmbeddedServices(Path(name) / "data") as found:
        asyncio.run(main(found, Path(name), chosen))
