"""What commits cost on three nodes of a Valkey Cluster, beside what they cost on the one server that there is now.

    python tests/bench/bench_cluster_commit.py [--commits 2000] [--json]

- Commits as `bench_commit` makes them, on one server by the product's script and within a slot by the prototype's
  (tests/bench/partitions): microseconds of the whole server process.
- A crossing between shards as it is now (reservation, go, seat: three commits), and one between two partitions on two
  nodes (the same, with the intent, the delivery and what is forgotten): microseconds of each node.
- A delta that is published to another subscriber: PUBLISH on one server, SPUBLISH on a node.

All of it is CPU time of the server processes (``INFO cpu``), less what they use when nothing is asked of them, of
several rounds the cheapest.  A subscriber listens to the channels as a gateway does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import orjson
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection

from embedded.valkey import EmbeddedValkey
from streaming import keys
from streaming.commit import Batch
from streaming.connect import connect
from streaming.journal import Journal as ProductJournal
from tests.bench.bench_commit import AGENTS, RECORD, RESULT, VARIANTS, delta, event, show
from tests.bench.partitions.journal import Journal, PartitionBatch
from tests.bench.partitions.nodes import ThreeNodes
from tests.bench.partitions.partition import DELIVER, Partition

ROUNDS = 5
IDLE_S = 3.0
TTL_MS = 60_000
COPIES = (1, 9)
#: Above every tick of the commits before.
CROSSING_TICK = 10_000_000


@dataclass
class Server:
    """One server process, what it uses at rest, and connections that listen to it."""

    redis: Redis
    idle_us_per_s: float = 0.0

    async def cpu_us(self) -> float:
        """CPU time so far."""
        used: dict[str, Any] = await self.redis.info("cpu")
        return (float(used["used_cpu_user"]) + float(used["used_cpu_sys"])) * 1e6

    async def rest(self) -> None:
        """Find out what it uses when nothing is asked of it."""
        before = await self.cpu_us()
        await asyncio.sleep(IDLE_S)
        self.idle_us_per_s = (await self.cpu_us() - before) / IDLE_S


async def cost(servers: Sequence[Server], times: int, work: Callable[[int], Awaitable[None]]) -> list[float]:
    """Microseconds of each server for one of ``times`` pieces of work, numbered from 0 on over all rounds."""
    found: list[list[float]] = []
    each = max(1, times // ROUNDS)
    for turn in range(ROUNDS):
        before, began = [await server.cpu_us() for server in servers], time.monotonic()
        for n in range(turn * each, (turn + 1) * each):
            await work(n)
        took = time.monotonic() - began
        used = [await server.cpu_us() for server in servers]
        found.append(
            [
                (after - first - took * server.idle_us_per_s) / each
                for server, first, after in zip(servers, before, used, strict=True)
            ]
        )
    return min(found, key=sum)


@asynccontextmanager
async def listening(redis: Redis, word: str, channels: Sequence[str], subscribers: int = 1) -> AsyncIterator[None]:
    """Connections that are subscribed to all channels and read what comes."""
    pool = redis.connection_pool
    settings = {**pool.connection_kwargs, "socket_timeout": None, "protocol": 2}
    connections: list[AbstractConnection] = [pool.connection_class(**settings) for _ in range(subscribers)]
    for connection in connections:
        await connection.connect()  # type: ignore[no-untyped-call]
        for channel in channels:
            await connection.send_command(word, channel)

    async def read(connection: AbstractConnection) -> None:
        while True:
            await connection.read_response()

    tasks = [asyncio.create_task(read(connection)) for connection in connections]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in connections:
            await connection.disconnect()


def channels_of_a_shard() -> list[str]:
    """What the commits of ``bench_commit`` publish to."""
    found = [keys.agent_stream(f"agt_{n:026d}") for n in range(AGENTS)]
    return found + [keys.chunk_stream(f"chunk-{n}") for n in range(5)]


# -- commits --


async def single_commits(server: Server, commits: int) -> dict[str, float]:
    """Each kind of commit on one server, by the product's journal."""
    journal, _ = await ProductJournal.acquire(server.redis, 0)
    found, tick = {}, 1_000
    async with listening(server.redis, "SUBSCRIBE", channels_of_a_shard()):
        for fill in VARIANTS:

            async def commit(n: int, fill: Callable[[Batch], None] = fill, tick: int = tick) -> None:
                batch = Batch(tick=tick + n)
                fill(batch)
                await journal.commit(batch)

            found[fill.__name__], tick = (await cost([server], commits, commit))[0], tick + commits
    return found


async def partition_commits(server: Server, partition: Partition, commits: int) -> dict[str, float]:
    """The same within a slot of a cluster."""
    journal = await Journal.acquire(server.redis, partition)
    found, tick = {}, 1_000
    channels = [f"0:{partition.key(name)}" for name in channels_of_a_shard()]
    async with listening(server.redis, "SSUBSCRIBE", channels):
        for fill in VARIANTS:

            async def commit(n: int, fill: Callable[[Batch], None] = fill, tick: int = tick) -> None:
                batch = PartitionBatch(tick=tick + n)
                fill(batch)
                await journal.commit("bench", batch)

            found[fill.__name__], tick = (await cost([server], commits, commit))[0], tick + commits
    return found


# -- crossings --

AGENT = "agt_" + "x" * 26
ARRIVAL = orjson.dumps({"record": RECORD, "x": 1, "y": 2})
MOVED = {"from_chunk_id": "chunk-0", "to_chunk_id": "chunk-1", "x": 1, "y": 2, "tick": 100_000}
CELL = (1, 2)


def leave(batch: Batch) -> None:
    """What a crossing writes at its source, in the tick that shows it, but for where the agent goes to."""
    batch.member("chunk-0", AGENT, joined=False)
    batch.agent_events(AGENT, [event("chunk_transition", MOVED), event("command_result", RESULT)], prolong=False)
    batch.archive(orjson.dumps({"fact": "result", "agent_id": AGENT, **RESULT}))
    show(batch, 0, delta(0, AGENTS // 5))


def take_seat(batch: Batch, handoff: str) -> None:
    """What it writes at its target, in the tick that shows it."""
    batch.agent_record(AGENT, "chunk-1", here=True, busy="", record=orjson.dumps(RECORD))
    batch.member("chunk-1", AGENT, joined=True)
    batch.seated("chunk-1", CELL, handoff)
    show(batch, 1, delta(1, AGENTS // 5))


async def single_crossing(server: Server, crossings: int) -> float:
    """Between two shards on one server."""
    source, _ = await ProductJournal.acquire(server.redis, 1)
    target, _ = await ProductJournal.acquire(server.redis, 2)

    async def cross(n: int) -> None:
        handoff, tick = f"h-{n}", CROSSING_TICK + n
        reserving = Batch(tick=tick)
        reserving.reserve("chunk-1", CELL, handoff, TTL_MS)
        await target.commit(reserving)
        going = Batch(tick=tick)
        going.departure("chunk-1", CELL, handoff, ARRIVAL)
        going.agent_record(AGENT, "chunk-1", here=True, busy="", record=orjson.dumps(RECORD))
        leave(going)
        await source.commit(going)
        await server.redis.hgetall(keys.inbox("chunk-1"))
        seating = Batch(tick=tick)
        take_seat(seating, handoff)
        await target.commit(seating)

    async with listening(server.redis, "SUBSCRIBE", [keys.chunk_stream("chunk-0"), keys.chunk_stream("chunk-1")]):
        return (await cost([server], crossings, cross))[0]


async def partition_crossing(
    servers: tuple[Server, Server], partitions: tuple[Partition, Partition], crossings: int
) -> list[float]:
    """Between two partitions on two nodes; what only rides on a commit that there is anyhow is put on the go."""
    source, target = [
        await Journal.acquire(server.redis, partition) for server, partition in zip(servers, partitions, strict=True)
    ]
    here, there = partitions
    first = PartitionBatch(tick=CROSSING_TICK - 1)
    first.intend("h-0", 1, TTL_MS)
    await source.commit("bench", first)

    async def cross(n: int) -> None:
        handoff, reservation, tick = f"h-{n}", f"h-{n}/1/{here}", CROSSING_TICK + n
        reserving = PartitionBatch(tick=tick)
        reserving.reserve("chunk-1", CELL, reservation, TTL_MS)
        await target.commit("bench", reserving)
        going = PartitionBatch(tick=tick)
        going.bring(AGENT, 2 * n, f"1:{here}", "-")
        going.only_if_intended(handoff, 1)
        leave(going)
        going.go(there, handoff, reservation, AGENT, "chunk-1", ARRIVAL)
        going.intend(f"h-{n + 1}", 1, TTL_MS)
        going.forget(there, n)
        await source.commit("bench", going)
        entry = f"{reservation} chunk-1 {AGENT} {2 * n + 2} 1:{here} -\n".encode() + ARRIVAL
        call = there.script(DELIVER)(
            taken=there.key("taken"), source=str(here), arrivals=[(n + 1, "chunk-1", reservation, entry)]
        )
        answer = await target.stop.run("bench", target.redis, call)
        assert answer[0] == b"ok", answer
        await target.redis.hgetall(there.key(keys.inbox("chunk-1")))
        seating = PartitionBatch(tick=tick)
        seating.bring(AGENT, 2 * n + 2, f"1:{here},{2 * n + 3}:{there}", "-")
        take_seat(seating, reservation)
        await target.commit("bench", seating)

    channels = [f"0:{one.key(keys.chunk_stream(f'chunk-{n}'))}" for n, one in enumerate(partitions)]
    async with (
        listening(servers[0].redis, "SSUBSCRIBE", channels[:1]),
        listening(servers[1].redis, "SSUBSCRIBE", channels[1:]),
    ):
        return await cost(servers, crossings, cross)


# -- copies --


async def copy(server: Server, publish: str, subscribe: str, channel: str, messages: int) -> float:
    """Microseconds of one more subscriber of a channel, for a delta of 64 agents."""
    body, found = delta(0, 64), []

    async def send(_: int) -> None:
        await server.redis.execute_command(publish, channel, body)  # type: ignore[no-untyped-call]

    for subscribers in COPIES:
        async with listening(server.redis, subscribe, [channel], subscribers):
            found.append((await cost([server], messages, send))[0])
    return (found[1] - found[0]) / (COPIES[1] - COPIES[0])


# -- all --


async def measure(single_url: str, nodes: ThreeNodes, commits: int) -> dict[str, Any]:
    """Everything; times in microseconds."""
    single = Server(connect(single_url))
    clients = [connect(url) for url in nodes.urls]
    cluster = [Server(client) for client in clients]
    await asyncio.gather(*(server.rest() for server in (single, *cluster)))
    here = Partition(0)
    there = next(other for n in range(1, 100) if (other := Partition(n)).node != here.node)
    ends = (cluster[here.node], cluster[there.node])
    found = {
        "commits": {
            "single": await single_commits(single, commits),
            "partition": await partition_commits(cluster[here.node], here, commits),
        },
        "crossing_us": await single_crossing(single, commits),
    }
    found["crossing_source_us"], found["crossing_target_us"] = await partition_crossing(ends, (here, there), commits)
    found["copy_us"] = await copy(single, "PUBLISH", "SUBSCRIBE", "delta", commits)
    shard_channel = here.key("delta")
    found["shard_copy_us"] = await copy(cluster[here.node], "SPUBLISH", "SSUBSCRIBE", shard_channel, commits)
    found["node_idle_us_per_s"] = sum(server.idle_us_per_s for server in cluster) / len(cluster)
    found["single_idle_us_per_s"] = single.idle_us_per_s
    for client in (single.redis, *clients):
        await client.aclose()
    return found


def measure_all(commits: int) -> dict[str, Any]:
    """Start one server and three nodes, and measure."""
    with tempfile.TemporaryDirectory(prefix="ccbench-") as name:
        single = EmbeddedValkey(Path(name) / "single", "for-the-bench", fsync="everysec")
        try:
            url = single.start()
            with ThreeNodes(Path(name), durable=True, fsync="everysec") as nodes:
                return asyncio.run(measure(url, nodes, commits))
        finally:
            single.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commits", type=int, default=2_000, help="of each kind")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    found = measure_all(given.commits)
    if given.json:
        print(json.dumps(found))
        return
    print("us of the server for a commit with        one server   in a slot")
    for kind, us in found["commits"]["single"].items():
        print(f"  {kind:38} {us:8.1f}    {found['commits']['partition'][kind]:8.1f}")
    both = f"{found['crossing_source_us']:.1f} + {found['crossing_target_us']:.1f}"
    print(f"  {'a crossing (source + target)':38} {found['crossing_us']:8.1f}    {both}")
    print(f"  {'a delta to one more subscriber':38} {found['copy_us']:8.2f}    {found['shard_copy_us']:8.2f}")
    idle = (found["single_idle_us_per_s"], found["node_idle_us_per_s"])
    print(f"  {'a second at rest':38} {idle[0]:8.0f}    {idle[1]:8.0f}")


if __name__ == "__main__":
    main()
