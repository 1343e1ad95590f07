"""The sweep takes out who has run out of time, and nobody else."""

from __future__ import annotations

import time
from typing import Any
from unittest.mock import patch

from streaming import keys
from tests.cluster.shard.stage import ARRIVAL, EAST, HALL, SOURCE, START, Stage


async def test_who_has_run_out_of_time_leaves_and_is_told_once(stage: Stage) -> None:
    await stage.stand("a", *START)
    await stage.stand("b", 30, 30)
    await stage.redis.zadd(keys.PRESENCE, {"a": 1, "b": time.time() * 1000 + 60_000})
    await stage.source.presence.sweep()
    await stage.source.presence.sweep()
    assert [kind for kind, _ in await stage.events("a")].count("agent_removed") == 1
    assert (stage.place("a"), stage.place("b")) == (None, (HALL, 30, 30))
    assert await stage.findings("a", "b") == []


async def test_who_crosses_while_the_sweep_looks_is_left_alone(stage: Stage) -> None:
    await stage.stand("a", *START)
    await stage.walk_east()
    await stage.tick()
    await stage.redis.zadd(keys.PRESENCE, {"a": 1})
    real = stage.redis.zmscore

    async def crosses_meanwhile(*words: Any) -> Any:
        scores = await real(*words)
        await stage.tick()
        return scores

    with patch.object(stage.redis, "zmscore", crosses_meanwhile):
        await stage.source.presence.sweep()
    assert "agent_removed" not in [kind for kind, _ in await stage.events()]
    assert stage.place("a") == (EAST, *ARRIVAL)
    assert await stage.findings("a") == []


async def test_times_long_past_are_forgotten(stage: Stage) -> None:
    await stage.stand("a", *START)
    now_ms = time.time() * 1000
    await stage.redis.zadd(keys.PRESENCE, {"a": now_ms + 60_000, "fresh": now_ms - 1_000, "old": now_ms - 7_200_000})
    await stage.source.presence.sweep()
    assert sorted(await stage.redis.zrange(keys.PRESENCE, 0, -1)) == [b"a", b"fresh"]
    assert stage.wires.runtimes[SOURCE].world.agent_ids == {"a"}
