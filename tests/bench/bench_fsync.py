"""What `CHUNKCRAWL_REDIS_FSYNC=always` costs: commits of a shard, alone and gathered, by either setting.

python tests/bench/bench_fsync.py [--dir DIR] [--seconds 5] [--shards 2]

--dir names a directory on the disk that is asked about; the system's own for temporary files may be memory.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles
from typing import get_args

sys.path.insert(0, str(Path(__file__).parents[2]))

from redis.asyncio import Redis

from cluster.graph import init_world
from embedded.valkey import EmbeddedValkey, Fsync
from streaming.commit import AgentEvent, Batch
from streaming.connect import connect
from streaming.journal import Journal

#: Agents whose decisions share a commit: nobody else waits, a busy shard, a crowded one.
GATHERED = (1, 20, 200)
PAYLOAD = b'{"chunk_id":"chunk-0","agents":[' + b'{"id":"a","x":1,"y":1,"activity_state":"moving"},' * 40 + b"]}"


def batch_of(tick: int, shard: int, agents: int) -> Batch:
    """A tick's delta, and an event and a record of each agent."""
    batch = Batch(tick=tick)
    chunk = f"chunk-{shard}"
    before = f"{tick - 1}-0" if tick > 1 else "0-0"
    batch.chunk_entry(chunk, f"{tick}-0", before, "chunk_delta", 0, "t", PAYLOAD, f"{max(0, tick - 300)}-0")
    for number in range(agents):
        agent_id = f"agent-{shard}-{number}"
        batch.agent_events(agent_id, [AgentEvent("command_ack", 1, "t", b'{"accepted":true,"server_cmd_id":"cmd_1"}')])
        batch.agent_record(agent_id, chunk, here=True, busy="", record=b'{"x":1,"y":1,"inventory":{"gold":3}}')
    return batch


async def commit_on(redis: Redis, shard: int, agents: int, seconds: float) -> list[float]:
    """Commit without a pause; how long each took, in ms."""
    journal, _ = await Journal.acquire(redis, shard)
    took: list[float] = []
    tick, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        tick += 1
        batch = batch_of(tick, shard, agents)
        began = time.perf_counter()
        await journal.commit(batch)
        took.append((time.perf_counter() - began) * 1000)
    return took


async def measure(url: str, shards: int, agents: int, seconds: float) -> str:
    redis = connect(url)
    await redis.flushall()
    await init_world(redis, seed=1, shard_count=shards)
    each = await asyncio.gather(*(commit_on(redis, shard, agents, seconds) for shard in range(shards)))
    await redis.aclose()
    took = sorted(ms for one in each for ms in one)
    cuts = quantiles(took, n=100)
    rate = len(took) / seconds
    return f"{rate:8.0f} {rate * agents:10.0f} {cuts[49]:9.2f} {cuts[98]:9.2f} {took[-1]:9.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", default=None)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--shards", type=int, default=2)
    args = parser.parse_args()
    print("fsync     decisions/commit  commits/s decisions/s    p50 ms    p99 ms    max ms")
    for fsync in get_args(Fsync):
        with tempfile.TemporaryDirectory(dir=args.dir, prefix="bench-fsync-") as name:
            server = EmbeddedValkey(Path(name) / "valkey", "for-bench", fsync=fsync)
            url = server.start()
            try:
                for agents in GATHERED:
                    print(f"{fsync:9} {agents:16} {asyncio.run(measure(url, args.shards, agents, args.seconds))}")
            finally:
                server.stop()


if __name__ == "__main__":
    main()
