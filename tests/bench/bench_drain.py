"""Clients moved off a gateway: how they leave, come back, and how long each was away.

Usage: python tests/bench/bench_drain.py [--agents 500] [--drain 15]

Two gateways share a port; one is told to stop, as when a node is drained.  The agents are the SDK's, idle, in one
process.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path

from chunkcrawl import Agent, Api
from cluster import deploy
from cluster.ray_clients import NamedActors, WorldActor, gateway_name
from config.settings import Settings
from embedded.services import EmbeddedServices, ServiceUrls
from migrations.run import upgrade

PORT = 18_432
AT_ONCE = 16
LIMIT_S = 120.0
SAMPLE_S = 0.05


async def connect_all(base: str, agents: int) -> list[Agent]:
    api = Api(base)
    account = await api.signup("drain@example.com", "password-of-drain")
    key = (await api.create_key(account.account_id, auth=account.account_token)).api_key
    gate = asyncio.Semaphore(AT_ONCE)
    made = [Agent.connect(base, agent_id=f"drain-{number}", api_key=key, api=api) for number in range(agents)]

    async def enter(agent: Agent) -> None:
        async with gate:
            await agent.__aenter__()

    await asyncio.gather(*(enter(agent) for agent in made))
    return made


async def watch_gaps(agents: list[Agent], moved: int, began: float) -> tuple[list[float], Counter[int]]:
    """Seconds that each moved agent was away, and how many came back in each second after ``began``."""
    away: dict[int, float] = {}
    gaps: dict[int, float] = {}
    back: Counter[int] = Counter()
    before = [agent.connections for agent in agents]
    while len(gaps) < moved and time.monotonic() - began < LIMIT_S:
        now = time.monotonic()
        for number, agent in enumerate(agents):
            if not agent.connected:
                away.setdefault(number, now)
            elif agent.connections > before[number] and number not in gaps:
                gaps[number] = now - away.get(number, now)  # one that was away between two looks: 0
                back[int(now - began)] += 1
        await asyncio.sleep(SAMPLE_S)
    return sorted(gaps.values()), back


async def measure(urls: ServiceUrls, agents: int, drain_s: int) -> None:
    await upgrade(urls.database_url)
    settings = Settings(
        environment="test",
        database_url=urls.database_url,
        redis_url=urls.redis_url,
        port=PORT,
        gateways=2,
        demo=False,
        drain_s=drain_s,
        log_level="warning",
    )
    deployment = await deploy.start(settings)
    actors = NamedActors(settings.ray_namespace)
    try:
        players = await connect_all(f"http://127.0.0.1:{PORT}", agents)
        moved = (await actors.call(gateway_name(1), 10, WorldActor.describe))["connections"]
        began = time.monotonic()
        stopping = asyncio.create_task(actors.call(gateway_name(1), drain_s + 10, WorldActor.stop))
        gaps, back = await watch_gaps(players, moved, began)
        took_s = time.monotonic() - began
        await stopping
        print(f"{agents} agents, {moved} of them on the gateway that goes, drain window of {drain_s} s")
        print(f"all back after {took_s:.1f} s; most in one second: {max(back.values(), default=0)}")
        print(f"away: p50 {statistics.median(gaps):.2f} s, worst {gaps[-1]:.2f} s; not back: {moved - len(gaps)}")
        await asyncio.gather(*(player.close() for player in players))
    finally:
        await deployment.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=500)
    parser.add_argument("--drain", type=int, default=15)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ccbench-") as data, EmbeddedServices(Path(data)) as urls:
        asyncio.run(measure(urls, given.agents, given.drain))


if __name__ == "__main__":
    main()
