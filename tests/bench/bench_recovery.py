"""How long a shard is away when its process is killed: from SIGKILL to the next committed tick.

Usage: python tests/bench/bench_recovery.py [--kills 20]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import tempfile
import time
from pathlib import Path

from redis.asyncio import Redis

from cluster import deploy
from cluster.ray_clients import NamedActors, WorldActor, shard_name
from config.settings import Settings
from embedded.services import EmbeddedServices, ServiceUrls
from migrations.run import upgrade
from streaming import keys
from streaming.connect import connect

CALL_S = 30.0
POLL_S = 0.005
PAUSE_S = 3.0
PORT = 18_431


async def committed(redis: Redis, shard: int) -> tuple[int, int]:
    """(epoch, commits) of a shard."""
    epoch, seq = await redis.hmget(keys.shard(shard), ["epoch", "seq"])
    return int(epoch or 0), int(seq or 0)


async def kill_once(redis: Redis, actors: NamedActors, shard: int) -> float:
    """Seconds from the kill to the first commit of the next epoch."""
    described = await actors.call(shard_name(shard), CALL_S, WorldActor.describe)
    epoch, seq = await committed(redis, shard)
    began = time.monotonic()
    os.kill(described["pid"], signal.SIGKILL)
    while True:
        now_epoch, now_seq = await committed(redis, shard)
        if now_epoch > epoch and now_seq > seq:
            return time.monotonic() - began
        await asyncio.sleep(POLL_S)


async def measure(urls: ServiceUrls, kills: int) -> list[float]:
    await upgrade(urls.database_url)
    settings = Settings(
        environment="test",
        database_url=urls.database_url,
        redis_url=urls.redis_url,
        port=PORT,
        demo=True,
        drain_s=1,
        log_level="error",
    )
    deployment = await deploy.start(settings)
    redis = connect(settings.redis_url)
    actors = NamedActors(settings.ray_namespace)
    shard = int(await redis.hget(keys.chunk("chunk-0"), "shard") or 0)
    times = []
    for number in range(kills):
        await asyncio.sleep(PAUSE_S)
        times.append(await kill_once(redis, actors, shard))
        print(f"kill {number + 1}: {times[-1]:.2f} s", flush=True)
    await redis.aclose()
    await deployment.stop()
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    kills = parser.parse_args().kills
    with tempfile.TemporaryDirectory(prefix="ccbench-") as data, EmbeddedServices(Path(data)) as urls:
        times = sorted(asyncio.run(measure(urls, kills)))
    print(f"recovery of a shard, {kills} kills: p50 {statistics.median(times):.2f} s, worst {times[-1]:.2f} s")


if __name__ == "__main__":
    main()
