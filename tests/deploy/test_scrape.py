"""The page of a real cluster with two gateways: nothing twice, nothing missing, and all that the dashboard asks for."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.exposition import of_metrics, render, sample_key
from api.sockets.slow_addresses import BROKEN_MOST
from chunkcrawl import Agent
from chunkcrawl.embedded import EmbeddedWorld
from chunkcrawl.errors import ChunkcrawlError
from chunkcrawl.wire.messages import CommandResult
from cluster.archive_metrics import archive_families
from tests.deploy.conftest import METRICS_TOKEN
from tests.deploy.promql import expressions, metrics_of, shown_by

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]

AGENTS = 8
MOVES = 6
HEADERS = {"Authorization": f"Bearer {METRICS_TOKEN}"}
#: The collector keeps a page for 1.5 s.
FRESH_S = 2.0

#: What issue and contract name; the dashboard need not show all of it.
NAMED = {
    *("challenge_issued_total", "challenge_answer_valid_total", "challenge_answer_invalid_total"),
    *("challenge_expired_total", "challenge_verify_ms_bucket", "challenge_pow_verify_ms_bucket"),
    *("challenge_difficulty_level_bucket", "tick_duration_ms", "tick_skipped_total", "active_chunks", "active_agents"),
    *("agent_connections", "owner_stream_connections", "spectator_connections", "resource_nodes_active_total"),
    *("harvest_success_total", "harvest_fail_total", "command_failed_total", "commit_ms", "delivery_ms_bucket"),
    *("crossing_total", "actor_restarts_total"),
    # What `chunkcrawl load` shows of the server.
    *("tick_seconds_bucket", "commit_seconds_bucket", "archive_facts_total", "archive_events_total"),
    *("commits_waiting", "shard_calls_waiting", "redis_calls_waiting", "reader_events_waiting"),
    *("event_loop_wait_seconds_total", "server_cpu_seconds", "metrics_gathered_at_seconds"),
}


async def page(http: httpx.AsyncClient) -> str:
    answer = await http.get("/metrics", headers=HEADERS)
    assert answer.status_code == 200
    return answer.text


async def fresh_page(http: httpx.AsyncClient) -> str:
    await asyncio.sleep(FRESH_S)
    return await page(http)


async def at_rest(http: httpx.AsyncClient) -> dict[str, float]:
    """The figures once no command runs and no agent is connected: other tests' agents may have left in mid-move."""
    async with asyncio.timeout(60):
        while True:
            found = parsed(await fresh_page(http))
            if found["busy_agents"] == 0 == found["agent_connections"]:
                return found


def parsed(text: str) -> dict[str, float]:
    families = text_string_to_metric_families(text)
    return {sample_key(sample.name, sample.labels): sample.value for one in families for sample in one.samples}


async def wander(world: EmbeddedWorld, number: int, seen: Counter[str]) -> None:
    """Move to and fro, and count the results that come."""
    async with Agent.connect(world.base, agent_id=f"counted-{number}", api_key=world.key) as me:
        listening = asyncio.create_task(listen(me, seen))
        for step in range(MOVES):
            try:
                await me.move_to(20 + (number * 3 + step * 5) % 11, 20 + (number * 7 + step * 3) % 11)
            except ChunkcrawlError:
                continue  # blocked by another, or told so at once: the page has to know too
        await asyncio.sleep(0.5)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def listen(me: Agent, seen: Counter[str]) -> None:
    async for event in me.events():
        if isinstance(event, CommandResult):
            seen[event.status] += 1


async def test_the_sums_are_what_the_clients_counted(world: EmbeddedWorld) -> None:
    seen: Counter[str] = Counter()
    async with httpx.AsyncClient(base_url=world.base, timeout=20) as http:
        before = await at_rest(http)
        await asyncio.gather(*(wander(world, number, seen) for number in range(AGENTS)))
        after = await at_rest(http)
    grown = Counter({key: after[key] - before.get(key, 0) for key in after})
    failed = sum(value for key, value in grown.items() if key.startswith("command_failed_total{"))
    assert sum(seen.values()) > 0
    assert (grown["command_completed_total"], failed) == (seen["completed"], seen["failed"])
    assert grown['sessions_opened_total{role="agent"}'] == AGENTS
    assert grown['http_requests_total{method="POST",route="/v1/sessions",status="201"}'] == AGENTS
    assert grown["challenge_issued_total"] >= sum(seen.values())
    assert (after["agent_connections"], before["agent_connections"]) == (0, 0)
    assert after["active_agents"] >= AGENTS  # those of other tests may still stand there
    assert grown["delivery_ms_count"] > 0


async def test_whichever_gateway_answers_gives_the_same_page(world: EmbeddedWorld) -> None:
    """A connection each, so that the kernel spreads them over both gateways."""

    async def requests() -> float:
        async with httpx.AsyncClient(base_url=world.base, timeout=20) as http:
            return parsed(await page(http))["ticks_total"]

    ticks = await asyncio.gather(*(requests() for _ in range(20)))
    # At 10 ticks a second over two shards, the cache's age apart at most, and never twice as many.
    assert max(ticks) - min(ticks) < 10 * 5


async def test_everything_that_is_asked_for_is_there(world: EmbeddedWorld) -> None:
    async with httpx.AsyncClient(base_url=world.base, timeout=20) as http:
        names = shown_by(await fresh_page(http))
    # No backup has been made of this world, so its age is not on the page.
    names |= shown_by(render(of_metrics(archive_families({"backup_age_s": 1.0}))).decode())
    assert NAMED - names == set()
    asked = {name: where for where, expression in expressions() for name in metrics_of(expression)}
    assert {name: where for name, where in asked.items() if name not in names} == {}


async def test_every_process_tells_what_it_uses_of_a_processor(world: EmbeddedWorld) -> None:
    async with httpx.AsyncClient(base_url=world.base, timeout=20) as http:
        found = parsed(await fresh_page(http))
    actors = ("gateway-0", "gateway-1", "shard-0", "shard-1", "coordinator", "archiver-0")
    used = {actor: found[f'process_cpu_seconds_total{{actor="{actor}"}}'] for actor in actors}
    used |= {server: found[f'server_cpu_seconds{{server="{server}"}}'] for server in ("redis", "postgresql")}
    assert min(used.values()) > 0, used
    assert found['tick_seconds_bucket{le="+Inf"}'] == found["tick_seconds_count"] == found["ticks_total"]


async def test_strangers_make_no_more_series(world: EmbeddedWorld) -> None:
    """Pitfall B25: odd paths, methods and hosts; each label has the few values that we chose."""
    async with httpx.AsyncClient(base_url=world.base, timeout=20) as http:
        for number in range(4):
            await odd_requests(http, number)
        before = parsed(await fresh_page(http))
        for number in range(150):
            await odd_requests(http, 1000 + number)
        # Each ends its connection, and from an address that has many ended new ones have to wait.
        for number in range(BROKEN_MOST // 2):
            await http.request(f"ODD{number}", "/healthz")
        after = parsed(await fresh_page(http))
    assert len(after) <= 1.05 * len(before)
    assert len(after) < 2_000
    assert "odd" not in json.dumps(list(after)).lower()


async def odd_requests(http: httpx.AsyncClient, number: int) -> None:
    await http.get(f"/odd-{number}/path")
    await http.get(f"/v1/chunks/odd-{number}/snapshot")
    await http.get("/healthz", headers={"Host": f"odd-{number}.example"})
