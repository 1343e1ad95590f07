"""The coordinator killed at the named points of chunks' moves; prints one JSON line.

Usage: python -m tests.chaos.moves_killed_scenario AGENTS POINT...

In each round the world shrinks to one shard and grows to two again; the coordinator ends itself once while a shard is
emptied, and once while the new one is filled.  Run it from the tree that ``test_moves_killed`` makes.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from typing import Any

import orjson

from cluster import move_log
from cluster.balance.moves import MoveRecord
from cluster.peers import ShardUnavailable
from cluster.ray_clients import COORDINATOR, WorldActor
from streaming import keys
from tests.chaos.scene import CALL_S, Scene, scene, scratch, services_in
from tests.cluster.worlds import until

SHARDS = 2
PLAY_S = 3.0
KILL_S = 90.0
GO_ON_S = 60.0


class Rounds:
    """What was killed, and what came of it."""

    def __init__(self, stage: Scene) -> None:
        self._stage = stage
        self._redis = stage.redis
        self.ended: list[dict[str, Any]] = []

    async def kill(self, why: str, point: str, shards: int) -> None:
        """Change the number of shards, have the coordinator end itself at a point of a move, and see what follows."""
        before = await self._pid()
        await self._redis.delete("test:killed")
        await self._redis.hset("test:kill", f"{why} {point}", "1")
        await self._redis.hset(keys.WORLD, keys.WANTED_SHARDS, str(shards))
        found = await until(self._killed, f"the coordinator ends itself: {why} {point}", KILL_S)
        killed_at = time.monotonic()
        record = MoveRecord.from_json(orjson.loads(found))
        # Read before the next coordinator moves it again: a handover takes milliseconds, Ray a second and more.
        await asyncio.sleep(0.5)
        owner = await self._stage.owner(record.chunk_id)
        await until(self._nothing_under_way, "the next coordinator ends what was under way", GO_ON_S)
        resolved_s = time.monotonic() - killed_at
        noted = [one.outcome for one in await move_log.read_moves(self._redis) if _same(one, record)]
        await until(lambda: self.spread(shards), f"{shards} shards have the chunks", GO_ON_S)
        self.ended.append(
            {
                "why": why,
                "point": point,
                "chunk": record.chunk_id,
                "from_shard": record.from_shard,
                "to_shard": record.to_shard,
                "owner": owner,
                "noted": noted,
                "resolved_s": round(resolved_s, 1),
                "went_on_s": round(time.monotonic() - killed_at, 1),
                "pid_before": before,
                "pid": await self._pid(),
            }
        )

    async def _pid(self) -> int:
        async def answers() -> int | None:
            try:
                return int((await self._stage.actors.call(COORDINATOR, CALL_S, WorldActor.describe))["pid"])
            except ShardUnavailable:
                return None

        found: int = await until(answers, "the coordinator answers", GO_ON_S)
        return found

    async def _killed(self) -> Any:
        return await self._redis.get("test:killed")

    async def _nothing_under_way(self) -> bool:
        return not await self._redis.exists(keys.MOVES_UNDER_WAY)

    async def spread(self, shards: int) -> bool:
        """Whether this many shards own chunks and there is no other, by the coordinator that is there now."""
        try:
            status = await self._stage.actors.call(COORDINATOR, CALL_S, WorldActor.describe)
        except ShardUnavailable:
            return False
        owners = {await self._stage.owner(chunk) for chunk in await self._stage.chunks()}
        names = {name for name in status["actors"] if name.startswith("shard-")}
        return owners == set(range(shards)) and names == {f"shard-{number}" for number in range(shards)}


def _same(one: MoveRecord, other: MoveRecord) -> bool:
    return (one.chunk_id, one.at_ms) == (other.chunk_id, other.at_ms)


async def scenario(agents: int, points: list[str]) -> dict[str, Any]:
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))
    with scratch() as directory:
        services = services_in(directory)
        try:
            async with scene(services, seed, shards=SHARDS, gateways=1) as stage:
                rounds = Rounds(stage)
                async with stage.playing(agents, hurrying=True):
                    await until(lambda: rounds.spread(SHARDS), "both shards have chunks", GO_ON_S)
                    await asyncio.sleep(PLAY_S)
                    for point in points:
                        await rounds.kill("leaving", point, 1)
                        await rounds.kill("load", point, SHARDS)
                ledger = stage.ledger
                return {
                    "seed": seed,
                    "rounds": rounds.ended,
                    "accepted": len(ledger.accepted),
                    "unsettled": ledger.unsettled,
                    "holes": ledger.holes,
                    "findings": await stage.findings(),
                    "gold": await stage.gold(),
                    "log": stage.log,
                }
        finally:
            services.stop()


def main(agents: str, *points: str) -> None:
    print(orjson.dumps(asyncio.run(scenario(int(agents), list(points)))).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
