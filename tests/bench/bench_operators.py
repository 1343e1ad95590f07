"""What an open console costs its gateway: CPU of the feed of figures, and how long its first whole picture takes.

python tests/bench/bench_operators.py [--chunks 10000] [--agents 5000] [--seconds 30] [--moves 250]

Real PostgreSQL and Valkey, a world made up in Redis, in which agents go from chunk to chunk.  The feed runs in
this process with one reader, the agents move in another.  HTTP is left out: what goes over it is encoded once for all
readers.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import multiprocessing
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

import structlog

from api.operator.console import Console
from api.services import Services
from config.settings import Settings
from embedded.services import EmbeddedServices
from migrations.run import upgrade
from streaming import keys
from streaming.cancellable import end
from streaming.connect import connect
from tests.api.operator.status import make_up
from tests.api.operator.test_feed import Reader
from tests.api.support import FakeWorld

STEP_S = 0.2


class Cost(NamedTuple):
    """Seconds until the first whole picture, bytes that the reader got a second, cores without and with a reader."""

    first_s: float
    bytes_a_second: float
    alone: float
    watched: float


async def wander(url: str, chunks: int, agents: int, moves: int) -> None:
    """Let so many agents a second go to another chunk, until the process is ended."""
    redis = connect(url)
    rng = random.Random(1)
    where = {n: n % chunks for n in range(agents)}
    while True:
        pipe = redis.pipeline(transaction=False)
        for n in rng.sample(range(agents), int(moves * STEP_S)):
            old, new = where[n], rng.randrange(chunks)
            where[n] = new
            pipe.hset(keys.agent(f"a-{n}"), "chunk", f"chunk-{new}")
            pipe.smove(keys.members(f"chunk-{old}"), keys.members(f"chunk-{new}"), f"a-{n}")
            pipe.hincrby(keys.POPULATION, f"chunk-{old}", -1)
            pipe.hincrby(keys.POPULATION, f"chunk-{new}", 1)
        await pipe.execute()
        await asyncio.sleep(STEP_S)


def move(*about: Any) -> None:
    """Run ``wander`` in a process of its own."""
    asyncio.run(wander(*about))


async def cores(seconds: float) -> float:
    """Return the cores that this process takes meanwhile."""
    cpu, began = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    return (time.process_time() - cpu) / (time.monotonic() - began)


async def read(reader: Reader) -> None:
    """Read on until cancelled."""
    while True:
        await reader.until("overview")


async def measure(settings: Settings, args: argparse.Namespace) -> Cost:
    """Make the world up, let it move, and watch it."""
    services = Services.build(settings, FakeWorld())
    services.start()
    await make_up(services.redis, chunks=args.chunks, agents=args.agents)
    about = (settings.redis_url, args.chunks, args.agents, args.moves)
    moving = multiprocessing.get_context("spawn").Process(target=move, args=about, daemon=True)
    moving.start()
    await asyncio.sleep(3)
    alone = await cores(args.seconds / 3)
    feed = Console(services).feed
    reader = Reader(feed)
    began = time.monotonic()
    await reader.until("chunks")
    first_s = time.monotonic() - began
    reading = asyncio.create_task(read(reader))
    await asyncio.sleep(2)
    before = len(reader.events)
    watched = await cores(args.seconds)
    told = sum(len(str(event)) for event in reader.events[before:])
    if not moving.is_alive():
        raise RuntimeError("the agents stopped moving")
    moving.terminate()
    await end(reading)
    await feed.close()
    await services.close()
    return Cost(first_s, told / args.seconds, alone, watched)


def main() -> None:
    """Start the servers, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=10_000)
    parser.add_argument("--agents", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--moves", type=int, default=250, help="agents that change their chunk, a second")
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with (
        tempfile.TemporaryDirectory(prefix="ccbench-") as directory,
        EmbeddedServices(Path(directory) / "data") as servers,
    ):
        asyncio.run(upgrade(servers.database_url))
        settings = Settings(environment="test", database_url=servers.database_url, redis_url=servers.redis_url)
        cost = asyncio.run(measure(settings, args))
    print(f"{args.chunks} chunks, {args.agents} agents, {args.moves} moves a second")
    print(f"first whole picture after {cost.first_s * 1e3:.0f} ms, then some {cost.bytes_a_second:.0f} bytes a second")
    print(
        f"cores: {cost.watched:.4f} watched, {cost.alone:.4f} not; the watching takes {cost.watched - cost.alone:.4f}"
    )


if __name__ == "__main__":
    main()
