"""The sweep takes out who has run out of time, and nobody else."""

from __future__ import annotations

import time
from typing import Any
from unittest.mock import patch

import pytest
from redis.asyncio import Redis

from cluster.shard.presence import DEMO_AGENTS, Presence
from cluster.shard.seating import Seating
from streaming import keys
from tests.cluster.shard.parts import Ground, stand
from tests.cluster.shard.stage import ARRIVAL, EAST, HALL, START, Stage


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


async def asleep_for(stage: Stage, seconds: float) -> None:
    """Let the sweep look at the clock, and Redis' clock go on that long with nobody awake."""
    presence = stage.source.presence
    await presence.sweep()
    assert presence._looked_at_ms is not None
    presence._looked_at_ms -= int(seconds * 1000)
    await stage.redis.zadd(keys.PRESENCE, {"a": time.time() * 1000 - 1_000})


async def test_after_a_sleep_of_the_machine_nobody_leaves_before_gateways_could_write(stage: Stage) -> None:
    """What runs goes on, for the agents come back at once; who has not by the end of the pause leaves."""
    await stage.stand("a", *START)
    await stage.redis.zadd(keys.PRESENCE, {"a": time.time() * 1000 + 60_000})
    await stage.submit("a", "cmd-1", {"type": "move_to", "x": 40, "y": 24})
    await asleep_for(stage, 90)
    began = time.monotonic()
    await stage.source.presence.sweep()
    assert stage.place("a") == (HALL, *START)
    assert stage.source.presence._not_before >= began + stage.config.presence_pause_after_stall_s
    await stage.tick(times=8)
    assert await stage.results() == [("cmd-1", "completed")]
    await stage.source.presence.sweep()
    assert stage.place("a") is None


class Scene:
    """The sweep alone, with ``a`` in memory."""

    def __init__(self, redis: Redis) -> None:
        self.redis: Any = redis
        self.ground = ground = Ground()
        unused: Any = None
        self.seating = Seating(redis, ground.memory, ground.epoch, unused, unused, ground.commits)
        self.presence = Presence(redis, ground.memory, self.seating, ground.commits, interval_s=1.0, pause_s=20.0)
        stand(ground.memory, "a")

    @property
    def agents(self) -> set[str]:
        return set(self.ground.memory.world.agent_ids)


@pytest.fixture
async def scene(redis: Redis) -> Scene:
    return Scene(redis)


async def test_a_late_look_is_no_sleep(scene: Scene) -> None:
    await scene.redis.zadd(keys.PRESENCE, {"a": time.time() * 1000 + 60_000})
    await scene.presence.sweep()
    assert scene.presence._looked_at_ms is not None
    scene.presence._looked_at_ms -= 3_000
    await scene.redis.zadd(keys.PRESENCE, {"a": time.time() * 1000 - 1_000})
    await scene.presence.sweep()
    assert scene.agents == set()
    [batch] = scene.ground.journal.batches
    assert any(word.startswith(b"agent_removed ") for word in batch.ops if isinstance(word, bytes))


async def test_who_has_joined_since_the_sweep_began_is_left_alone(scene: Scene) -> None:
    scene.seating.joined_at["a"] = time.monotonic() + 5
    await scene.presence.sweep()
    assert scene.agents == {"a"}
    scene.seating.joined_at["a"] = time.monotonic() - 5
    await scene.presence.sweep()
    assert scene.agents == set()
    assert scene.seating.joined_at == {}


async def test_demo_agents_need_no_gateway(scene: Scene) -> None:
    demo = sorted(DEMO_AGENTS)[0]
    stand(scene.ground.memory, demo, (30, 24))
    await scene.presence.sweep()
    assert scene.agents == {demo}


async def test_times_long_past_are_forgotten(scene: Scene) -> None:
    now_ms = time.time() * 1000
    await scene.redis.zadd(keys.PRESENCE, {"a": now_ms + 60_000, "fresh": now_ms - 1_000, "old": now_ms - 7_200_000})
    await scene.presence.sweep()
    assert sorted(await scene.redis.zrange(keys.PRESENCE, 0, -1)) == [b"a", b"fresh"]
    assert scene.agents == {"a"}
