"""The figures of the last hour, a point every ten seconds, which the coordinator keeps in Redis (``cluster:hour``).

Counters of gateways begin at 0 with each process: what they gained is what counts, and a process that has begun again
has gained what it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from redis.asyncio import Redis

from cluster.messages import ShardLoad
from streaming import keys

POINT_MS: Final = 10_000
POINTS: Final = 360
#: Reasons shown, those with the most refusals.
REASONS_MOST: Final = 20

Counts = dict[str, int]


@dataclass(slots=True)
class Hour:
    """Makes the points; ``note`` with every status."""

    _begun_ms: int | None = None
    #: By process: what it had counted when it was last looked at.
    _before: dict[tuple[str, object], Counts] = field(default_factory=dict)
    _gained: Counts = field(default_factory=dict)

    def note(self, status: Mapping[str, Any], now_ms: int) -> dict[str, Any] | None:
        """Take a status; return a point when ten seconds are over."""
        self._count(status["actors"])
        if self._begun_ms is None or now_ms < self._begun_ms:
            self._begun_ms, self._gained = now_ms, {}
            return None
        elapsed_ms = now_ms - self._begun_ms
        if elapsed_ms < POINT_MS:
            return None
        gained, self._gained, self._begun_ms = self._gained, {}, now_ms
        return _point(status["actors"], gained, elapsed_ms / 1000, now_ms)

    def _count(self, actors: Mapping[str, Mapping[str, Any]]) -> None:
        now: dict[tuple[str, object], Counts] = {}
        for name, actor in actors.items():
            if "decided" not in actor:
                continue
            process = (name, actor.get("pid"))
            counts = {"": actor["decided"], **actor.get("refused", {})}
            # Of one that was there before us it is not known since when it counts.
            before = self._before.get(process, counts if self._begun_ms is None else {})
            for what, count in counts.items():
                self._gained[what] = self._gained.get(what, 0) + max(0, count - before.get(what, 0))
            now[process] = counts
        silent = {name for name, actor in actors.items() if "error" in actor}
        self._before = {key: counts for key, counts in self._before.items() if key[0] in silent} | now


async def keep(redis: Redis, point: Mapping[str, Any]) -> None:
    """Write a point, and forget those older than an hour."""
    client: Any = redis
    pipe = client.pipeline(transaction=True)
    pipe.lpush(keys.HOUR, orjson.dumps(dict(point)))
    pipe.ltrim(keys.HOUR, 0, POINTS - 1)
    await pipe.execute()


async def keep_loads(redis: Redis, loads: Mapping[int, ShardLoad], ttl_s: int) -> None:
    """Write what the costliest chunks cost: chunk, microseconds a second, commands a second."""
    rows = [
        (chunk.chunk_id, chunk.cost_us, chunk.commands_per_s) for load in loads.values() for chunk in load.costliest
    ]
    await redis.set(keys.LOADS, orjson.dumps(rows), ex=ttl_s)


def _point(actors: Mapping[str, Mapping[str, Any]], gained: Counts, elapsed_s: float, now_ms: int) -> dict[str, Any]:
    shards = [actor for name, actor in actors.items() if name.startswith("shard-") and "tick_ms" in actor]
    refused = {reason: count for reason, count in gained.items() if reason and count}
    most = sorted(refused.items(), key=lambda item: (-item[1], item[0]))[:REASONS_MOST]

    def worst(name: str, quantile: str) -> float:
        return max((shard[name][quantile] for shard in shards), default=0.0)

    return {
        "at_ms": now_ms,
        "agents": sum(shard["agents"] for shard in shards),
        "connections": sum(actor.get("connections", 0) for actor in actors.values()),
        "commands_per_s": round(gained.get("", 0) / elapsed_s, 2),
        "refused_per_s": round(sum(refused.values()) / elapsed_s, 2),
        "tick_p50_ms": worst("tick_ms", "p50"),
        "tick_p99_ms": worst("tick_ms", "p99"),
        "commit_p50_ms": worst("commit_ms", "p50"),
        "commit_p99_ms": worst("commit_ms", "p99"),
        "refusals": {reason: round(count / elapsed_s, 2) for reason, count in most},
    }
