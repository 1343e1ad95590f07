"""The world on a real Ray: actors come up, die and come back; shards change in number while agents play."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from typing import Any

import httpx
import orjson
import pytest
from redis.asyncio import Redis

from cluster import deploy
from cluster.deploy import Deployment
from cluster.graph import chunk_owners
from cluster.messages import ForeignVersion
from cluster.move_log import read_moves
from cluster.ray_clients import COORDINATOR, NamedActors, WorldActor, connected_shards, gateway_name, shard_name
from cluster.router import Router
from config.settings import Settings
from embedded.children import free_port
from streaming import keys
from streaming.batch import RedisBatch
from streaming.connect import connect
from tests.cluster.worlds import Player, newest_delta, until, whole
from world.rules import WorldRules

pytestmark = pytest.mark.ray

CALL_S = 10.0


@pytest.fixture(scope="module")
def deployment(valkey_url: str, postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A world with two shards and two gateways; it is shared by the tests of this module."""

    async def empty() -> None:
        redis = connect(valkey_url)
        await redis.flushall()
        await redis.aclose()

    asyncio.run(empty())
    settings = Settings(
        environment="test",
        database_url=postgres_url,
        redis_url=valkey_url,
        port=free_port(),
        shards=2,
        gateways=2,
        demo=False,
        drain_s=2,
        log_level="warning",
        data_dir=str(tmp_path_factory.mktemp("data")),
    )
    running = asyncio.run(deploy.start(settings))
    yield running
    asyncio.run(running.stop())


@pytest.fixture
async def redis_now(valkey_url: str) -> AsyncIterator[Redis]:
    """A client that does not empty the server."""
    client = connect(valkey_url)
    yield client
    await client.aclose()


@pytest.fixture
async def router(deployment: Deployment, redis_now: Redis) -> AsyncIterator[Router]:
    """A gateway's way to the shards, from this process."""
    batch = RedisBatch(redis_now)
    actors = NamedActors(deployment.settings.ray_namespace)
    made = Router(redis_now, batch, connected_shards(actors), spawn_capacity=64)
    yield made
    await made.close()
    await batch.close()


async def describe(deployment: Deployment, name: str) -> dict[str, Any]:
    return await NamedActors(deployment.settings.ray_namespace).call(name, CALL_S, WorldActor.describe)


async def owner(redis: Redis, chunk_id: str) -> int:
    return int(await redis.hget(keys.chunk(chunk_id), "shard") or -1)


async def give(redis: Redis, deployment: Deployment, chunk_id: str, to_shard: int) -> None:
    """Have a chunk handed over; one that has just been collected or moved stays where it is."""
    shards = connected_shards(NamedActors(deployment.settings.ray_namespace))
    await shards.shard(await owner(redis, chunk_id), timeout_s=CALL_S).give(chunk_id, to_shard)


async def ready(deployment: Deployment) -> bool:
    async with httpx.AsyncClient() as http:
        try:
            answer = await http.get(f"http://127.0.0.1:{deployment.settings.port}/readyz", timeout=3)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200


async def test_everything_is_up_and_says_so(deployment: Deployment) -> None:
    described = await deployment.describe()
    assert set(described["actors"]) == {"archiver-0", "gateway-0", "gateway-1", "shard-0", "shard-1"}
    assert all("error" not in actor for actor in described["actors"].values())
    assert described["rules"] == asdict(WorldRules())
    assert await ready(deployment)


class NextRelease:
    """What a shard of the release after this one can be asked."""

    async def weather(self, chunk_id: str) -> str:
        raise NotImplementedError


async def test_a_call_that_an_actor_lacks_is_refused_and_it_goes_on(deployment: Deployment) -> None:
    before = await describe(deployment, shard_name(0))
    with pytest.raises(ForeignVersion, match="ChunkShard has no call weather"):
        await NamedActors(deployment.settings.ray_namespace).call(shard_name(0), CALL_S, NextRelease.weather, "chunk-0")
    assert (await describe(deployment, shard_name(0)))["pid"] == before["pid"]


async def test_an_agent_walks_through_shards(router: Router, redis_now: Redis) -> None:
    agent = Player(redis_now, router, "walker")
    await agent.join()
    assert (await agent.move(49, 24))["status"] == "completed"
    chunk_id, x, y = await agent.place()
    assert (chunk_id != "chunk-0", x, y) == (True, 0, 24)


async def test_a_killed_shard_comes_back_by_itself_and_the_walk_ends_once(
    deployment: Deployment, router: Router, redis_now: Redis
) -> None:
    agent = Player(redis_now, router, "survivor")
    await agent.join()
    await agent.place()
    assert (await agent.submit({"type": "move_to", "x": 25, "y": 45})).accepted
    shard = await owner(redis_now, "chunk-0")
    before = await describe(deployment, shard_name(shard))
    os.kill(before["pid"], signal.SIGKILL)
    result = await agent.result()
    assert result["status"] == "completed", result
    after = await describe(deployment, shard_name(shard))
    assert after["epoch"] > before["epoch"]
    assert after["pid"] != before["pid"]
    assert after["tick"] > before["tick"]
    kinds = Counter(kind for kind, _ in await agent.events())
    assert (kinds["command_ack"], kinds["command_result"]) == (1, 1)
    await agent.move(25, 40)


async def test_a_killed_gateway_and_a_killed_coordinator_come_back(deployment: Deployment, redis_now: Redis) -> None:
    for name in (gateway_name(0), gateway_name(1)):
        os.kill((await describe(deployment, name))["pid"], signal.SIGKILL)
    await until(lambda: ready(deployment), "gateways that serve again")
    os.kill((await describe(deployment, COORDINATOR))["pid"], signal.SIGKILL)
    await redis_now.delete(keys.STATUS)

    async def status() -> Any:
        found = await redis_now.get(keys.STATUS)
        return found and "gateway-1" in orjson.loads(found)["actors"]

    await until(status, "a coordinator that reports again")


async def test_the_number_of_shards_changes_while_agents_walk(
    deployment: Deployment, router: Router, redis_now: Redis
) -> None:
    players = [Player(redis_now, router, f"mover-{n}") for n in range(12)]
    for one in players:
        await one.join()
    playing = True

    async def play(one: Player, n: int) -> None:
        targets = [(49, 23 + n % 4), (3, 24), (0, 23 + n % 4), (25, 25 + n)]
        step = n
        while playing:
            x, y = targets[step % 4]
            step += 1
            if (await one.submit({"type": "move_to", "x": x, "y": y})).accepted:
                await one.result()
            else:
                await asyncio.sleep(0.2)

    tasks = [asyncio.create_task(play(one, n)) for n, one in enumerate(players)]
    for shards in (5, 3):
        await redis_now.hset(keys.WORLD, keys.WANTED_SHARDS, str(shards))

        async def scaled(shards: int = shards) -> Any:
            found = orjson.loads(await redis_now.get(keys.STATUS) or b"{}")
            return found if found.get("shards") == shards and found["misplaced"] == 0 else None

        found = await until(scaled, f"{shards} shards", 60)
        print(f"{shards} shards: {found['moving']}")
        if shards == 5:
            # Nobody is busy, so nothing has come to the new ones by itself.
            for number, chunk_id in enumerate(sorted(await chunk_owners(redis_now))):
                await give(redis_now, deployment, chunk_id, 4 - number % 5)
        else:
            assert found["moving"]["moved"] > 0
        await asyncio.sleep(1)
    playing = False
    assert set((await chunk_owners(redis_now)).values()) <= {0, 1, 2}
    assert {move.why for move in await read_moves(redis_now)} == {"leaving"}
    await asyncio.gather(*tasks)
    for one in players:
        results = Counter(payload["server_cmd_id"] for _, payload in await one.events("command_result"))
        assert results == Counter(one.accepted)
    assert await whole(redis_now, [one.agent_id for one in players]) == []
    names = [name for name in (await deployment.describe())["actors"] if name.startswith("shard-")]
    assert names == ["shard-0", "shard-1", "shard-2"]


async def test_ticks_go_on_at_five_a_second(deployment: Deployment, redis_now: Redis) -> None:
    first = await describe(deployment, shard_name(0))
    began = time.monotonic()

    async def fifteen_later() -> bool:
        return bool((await describe(deployment, shard_name(0)))["tick"] >= first["tick"] + 15)

    await until(fifteen_later, "fifteen more ticks")
    print(f"fifteen ticks in {time.monotonic() - began:.2f} s")
    assert await newest_delta(redis_now, "chunk-0")
