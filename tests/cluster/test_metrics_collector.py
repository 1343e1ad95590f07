from __future__ import annotations

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from api.exposition import sample_key, single
from api.sockets import stream_metrics
from cluster import metrics_collector
from cluster.local import LocalWorld
from cluster.metrics_collector import MetricsCollector, Sources
from cluster.metrics_report import Report
from cluster.peers import ShardUnavailable
from streaming import keys
from tests.cluster.worlds import Player, player, until


def parsed(page: bytes) -> dict[str, float]:
    families = text_string_to_metric_families(page.decode())
    return {sample_key(sample.name, sample.labels): sample.value for one in families for sample in one.samples}


class Counting:
    """A process of the cluster: counts what it is asked, fails or hangs on demand."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.incarnation = "first"
        self.asked = 0
        self.counted = 0.0
        self.trouble: Exception | None = None
        self.hangs = False

    async def __call__(self) -> Report:
        self.asked += 1
        if self.hangs:
            await asyncio.sleep(600)
        if self.trouble is not None:
            raise self.trouble
        return Report(self.name, self.incarnation, [single("meals_total", "counter", "Meals.", self.counted)])


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_collector, "CACHE_S", 0.0)
    monkeypatch.setattr(metrics_collector, "ASK_TIMEOUT_S", 0.2)


def collector(redis: Redis, *processes: Counting) -> MetricsCollector:
    sources: Sources = {process.name: process for process in processes}
    return MetricsCollector(redis, lambda: sources)


async def test_all_are_asked_and_those_that_do_not_answer_are_named(redis: Redis) -> None:
    good, dead, slow = Counting("shard-0"), Counting("shard-1"), Counting("gateway-0")
    good.counted, dead.trouble, slow.hangs = 3, ShardUnavailable("dead"), True
    old = Counting("archiver-0")
    old.trouble = AttributeError("metrics")  # of a release that could not be asked
    found = parsed(await collector(redis, good, dead, slow, old).page())
    assert found["meals_total"] == 3
    ups = {name: found[f'actor_up{{actor="{name}"}}'] for name in ("shard-0", "shard-1", "gateway-0", "archiver-0")}
    assert ups == {"shard-0": 1, "shard-1": 0, "gateway-0": 0, "archiver-0": 0}


async def test_many_who_ask_at_once_ask_the_cluster_once(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_collector, "CACHE_S", 60.0)
    process = Counting("shard-0")
    asked = collector(redis, process)
    pages = await asyncio.gather(*(asked.page() for _ in range(20)))
    assert process.asked == 1
    assert len(set(pages)) == 1


async def test_another_collector_goes_on_with_the_same_sums(redis: Redis) -> None:
    """The coordinator has died, and a shard with it."""
    process = Counting("shard-0")
    process.counted = 10
    await collector(redis, process).page()
    process.incarnation, process.counted = "second", 1
    found = parsed(await collector(redis, process).page())
    assert found["meals_total"] == 11
    assert found['actor_restarts_total{kind="shard"}'] == 1


async def test_a_world_that_was_stopped_in_order_has_no_restarts(redis: Redis) -> None:
    process = Counting("shard-0")
    first = collector(redis, process)
    await first.page()
    process.counted = 4
    await first.end_all()
    process.incarnation, process.counted = "second", 1
    found = parsed(await collector(redis, process).page())
    assert found["meals_total"] == 5
    assert found['actor_restarts_total{kind="shard"}'] == 0


async def test_a_lost_redis_does_not_hide_the_figures(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    process = Counting("shard-0")
    asked = collector(redis, process)
    await asked.page()

    async def away(*_: object, **__: object) -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr(redis, "set", away)
    process.counted = 7
    assert parsed(await asked.page())["meals_total"] == 7
    await asked.ended("shard-0")


async def test_without_the_ledger_nothing_is_shown_that_could_fall(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr(redis, "get", away)
    with pytest.raises(RedisConnectionError):
        await collector(redis, Counting("shard-0")).page()


async def test_a_ledger_that_is_none_is_begun_anew(redis: Redis) -> None:
    await redis.set(keys.METRICS, b"{")
    assert parsed(await collector(redis, Counting("shard-0")).page())["meals_total"] == 0


async def test_the_page_of_a_world_says_what_its_players_saw(redis: Redis) -> None:
    async with LocalWorld(redis, shards=2) as world:
        walker, other = await player(world, "walker"), await player(world, "other")
        assert (await walker.move(25, 30))["status"] == "completed"
        assert not (await other.submit({"type": "harvest", "node_id": "nowhere"})).accepted
        refused = await other.submit({"type": "give", "agent_id": "walker", "amount": 1})
        assert refused.reason == "too_far"
        assert (await walker.move(25, 49))["status"] == "completed"  # leaves chunk-0 in the north
        results = [payload for one in (walker, other) for _, payload in await one.events("command_result")]
        crossed = len(await walker.events("chunk_transition"))
        found = parsed(await world.router.metrics())
        assert found["command_completed_total"] == len(results) == 2
        assert crossed == 1
        kinds = [found.get(f'crossing_total{{kind="{kind}",outcome="completed"}}', 0) for kind in ("local", "remote")]
        assert sum(kinds) == crossed
        assert found['harvest_fail_total{reason="node_not_found"}'] == 1
        assert 'harvest_fail_total{reason="too_far"}' not in found, "a gift was, and no harvest"
        assert found["active_agents"] == 2
        assert found["active_chunks"] == await redis.scard(keys.CHUNKS) == 2
        assert found['resource_nodes_active_total{type="gold"}'] >= 6
        assert found["tick_duration_ms_count"] >= found["ticks_total"] > 0
        assert 0 < found['tick_duration_ms{quantile="0.5"}'] <= found['tick_duration_ms{quantile="0.99"}']
        assert found["commit_ms_count"] > 0
        assert "agent_connections" in found, stream_metrics.__name__  # declares them


async def test_a_harvest_is_counted_by_its_end_and_its_units(redis: Redis) -> None:
    from world.rules import Rules

    rules = Rules(demo=False, harvest_ticks_per_unit=1, gold_per_node_min=1, gold_per_node_max=1)
    async with LocalWorld(redis, shards=1, rules=rules) as world:
        digger = await player(world, "digger")
        await _go_to_a_node(world, digger)
        found = parsed(await world.router.metrics())
        assert found['harvest_success_total{type="gold"}'] == 1
        assert found['harvest_units_total{type="gold"}'] == 1


async def _go_to_a_node(world: LocalWorld, digger: Player) -> None:
    """Walk beside a gold node of chunk-0 and dig until it is empty."""
    chunk = world.shards.runtimes[0].world.chunk_static((await digger.place())[0])  # type: ignore[arg-type]
    for node in chunk["resource_nodes"]:
        for dx, dy in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            x, y = node["x"] + dx, node["y"] + dy
            if 0 < x < 49 and 0 < y < 49 and chunk["grid"][y][x] == 0:
                assert (await digger.move(x, y))["status"] == "completed"
                assert (await digger.submit({"type": "harvest", "node_id": node["node_id"]})).accepted
                assert (await digger.result())["status"] == "completed"
                return
    raise AssertionError("no node can be reached")


async def test_a_killed_shard_takes_nothing_from_the_sums(redis: Redis) -> None:
    async with LocalWorld(redis, shards=2) as world:
        walker = await player(world, "walker")
        await walker.move(25, 30)
        before = parsed(await world.router.metrics())
        for shard in (0, 1):
            await world.kill_shard(shard)
        gone = parsed(await world.router.metrics())
        assert "ticks_total" not in gone
        for shard in (0, 1):
            await world.start_shard(shard)

        async def again() -> bool:
            return parsed(await world.router.metrics()).get("active_agents") == 1

        await until(again, "the agent is back")
        after = parsed(await world.router.metrics())
        falling = {key for key, value in before.items() if key.endswith("_total") and after.get(key, value) < value}
        assert not falling - {'resource_nodes_active_total{type="gold"}'}
        assert after["command_completed_total"] == before["command_completed_total"] == 1
        assert after['actor_restarts_total{kind="shard"}'] == 2
