"""What a crossing between shards costs against one within a shard.

Usage: python tests/bench/bench_crossing.py [--crossings 40]

Agents step over the border of chunk-0 and back, on shards of this process over a real Valkey at 5 ticks a second.
Ticks are counted from acceptance to the result and to the first delta of the other chunk that shows the agent; CPU
is that of the process, the idle world's taken off.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import statistics
import tempfile
import time
from pathlib import Path

import structlog

from cluster.local import LocalWorld
from embedded.valkey import EmbeddedValkey
from streaming import keys
from streaming.connect import as_text, connect
from tests.cluster.worlds import Player, newest_delta
from world.ids import shard_of
from world.rules import Rules

PASSWORD = "for-the-bench"
AGENTS = 4
IDLE_S = 5.0


async def cross(player: Player, target: tuple[int, int]) -> tuple[int, int]:
    """One crossing: ticks until the result, ticks until the arrival is shown."""
    decision = await player.submit({"type": "move_to", "x": target[0], "y": target[1]})
    assert decision.accepted, decision
    assert decision.started_tick is not None
    result = await player.result()
    assert result["status"] == "completed", result
    [*_, (_, transition)] = await player.events("chunk_transition")
    while True:
        delta = await newest_delta(player.redis, transition["to_chunk_id"])
        if any(agent["id"] == player.agent_id for agent in delta.get("agents", [])):
            return result["ended_tick"] - decision.started_tick, delta["tick"] - decision.started_tick
        await asyncio.sleep(0.01)


async def back_and_forth(player: Player, row: int, crossings: int) -> list[tuple[int, int]]:
    """Step over the border in a row of the corridor, there and back."""
    found = []
    for number in range(crossings):
        # East out of chunk-0; then the boundary cell that the agent stands on leads back.
        target = (49, row) if number % 2 == 0 else (0, row)
        found.append(await cross(player, target))
    return found


async def measure(url: str, shards: int, crossings: int) -> str:
    redis = connect(url)
    await redis.flushall()
    async with LocalWorld(redis, shards=shards, seed=1, rules=Rules(demo=False)) as world:
        players = [Player(redis, world.router, f"a{number}") for number in range(AGENTS)]
        for number, player in enumerate(players):
            await player.join()
            while (await player.place())[1:] != (48, 23 + number):
                await player.move(48, 23 + number)
        began_cpu = time.process_time()
        await asyncio.sleep(IDLE_S)
        idle_share = (time.process_time() - began_cpu) / IDLE_S
        began, began_cpu = time.monotonic(), time.process_time()
        each = crossings // AGENTS
        found = await asyncio.gather(
            *(back_and_forth(player, 23 + number, each) for number, player in enumerate(players))
        )
        wall_s = time.monotonic() - began
        cpu_s = time.process_time() - began_cpu - idle_share * wall_s
        neighbor = as_text(await redis.hget(keys.chunk("chunk-0"), "E") or b"")
        kind = "between shards" if shard_of("chunk-0", shards) != shard_of(neighbor, shards) else "within a shard"
    await redis.aclose()
    results, shown = zip(*(one for mine in found for one in mine), strict=True)
    return (
        f"{kind}: {len(results)} crossings, ticks to the result p50 {statistics.median(results)} worst {max(results)}, "
        f"to the first delta there p50 {statistics.median(shown)} worst {max(shown)}, "
        f"{cpu_s / len(results) * 1000:.1f} ms CPU each (polling of the bench included)"
    )


def shards_that_differ() -> int:
    """A shard count with which chunk-0 and its first neighbour have different owners."""
    return next(count for count in range(2, 50) if shard_of("chunk-0", count) != shard_of("chunk-1", count))


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crossings", type=int, default=40)
    crossings = parser.parse_args().crossings
    with tempfile.TemporaryDirectory(prefix="ccbench-") as directory:
        server = EmbeddedValkey(Path(directory), PASSWORD)
        url = server.start()
        try:
            for shards in (1, shards_that_differ()):
                print(asyncio.run(measure(url, shards, crossings)), flush=True)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
