"""How long watchers wait: leaderboards, an agent's page, the search and a history, out of a full log.

python tests/bench/bench_watchers.py [--chunks 10000] [--facts 100000] [--agents 5000] [--questions 200]

Real PostgreSQL and Valkey.  The facts go through ``store.event_log.insert`` as the archiver's do, so the standings are
those of the log, and what writing them costs is printed too.  Then everything is asked over HTTP of a whole gateway, in
process, by one client, each question another one so that no kept answer helps; printed are the times by what was asked.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import logging
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import httpx
import structlog
from sqlalchemy import text

from api.app import create_app
from api.services import Services
from config.settings import Settings
from embedded.services import EmbeddedServices
from migrations.run import upgrade
from store import event_log, event_log_days, standings
from store.event_log import LogRow
from streaming import keys
from tests.api.support import FakeWorld

DAYS = 14
BATCH = 500
#: Questions of each kind before those that count: connections are opened, code is loaded.
WARM_UP = 5
DEV = {"authorization": "Bearer test-spectator-token"}
#: No question is refused here; what limits cost is measured all the same.
UNLIMITED = "1000000+1000000/s"
BOUND_MS = 100


def facts(count: int, agents: int, chunks: int, start: datetime) -> Iterator[LogRow]:
    """Harvests, crossings into chunk after chunk, talk, gifts, comings and goings, evenly over the days."""
    step = timedelta(days=DAYS) / count
    new_chunk = itertools.cycle(range(1, chunks))
    for n in range(count):
        agent = f"agent-{n * 7919 % agents}"
        kind, payload = (
            ("harvest", {"amount": 1, "gold": n}),
            ("crossing", {"to_chunk_id": f"chunk-{next(new_chunk) if n % 5 == 1 else 0}", "x": 0, "y": 25}),
            ("chat", {"text": f"line {n}"}),
            ("give", {"to": f"agent-{n % agents}", "amount": 1, "gold": n}),
            ("join" if n // 5 % 2 else "leave", {"x": 25, "y": 25}),
        )[n % 5]
        ms = standings.ms_of(start + n * step)
        yield LogRow(f"{ms}-{n}", "run_1", n, f"chunk-{n % chunks}", agent, kind, json.dumps(payload))


async def fill(services: Services, rows: Iterator[LogRow]) -> float:
    """Write all facts; return the seconds that it took."""
    began = time.perf_counter()
    while batch := list(itertools.islice(rows, BATCH)):
        await event_log.insert(services.engine, batch)
    took = time.perf_counter() - began
    await standings.keep(services.engine, datetime.now(UTC))
    async with services.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("ANALYZE"))
    return took


async def put_world(services: Services, chunks: int, agents: int) -> None:
    """The records that searches and pages of agents look at, and the chunks that are listed."""
    for first in range(0, agents, BATCH):
        pipe = services.redis.pipeline(transaction=False)
        for n in range(first, min(agents, first + BATCH)):
            fields = {"chunk": f"chunk-{n % chunks}", "here": "1", "rec": '{"x":3,"y":4,"gold":7}'}
            pipe.hset(keys.agent(f"agent-{n}"), mapping=fields)  # type: ignore[arg-type]
        await pipe.execute()
    for first in range(0, chunks, BATCH):
        names = [f"chunk-{n}" for n in range(first, min(chunks, first + BATCH))]
        await services.redis.sadd(keys.CHUNKS, *names)


def questions(agents: int, rng: random.Random) -> dict[str, Iterator[str]]:
    """What is asked, each time another way."""
    boards = itertools.cycle(itertools.product(("gold", "chunks", "alive"), ("day", "week", "all"), range(20, 101)))
    return {
        "leaderboard": (f"/v1/leaderboard?by={by}&period={period}&limit={limit}" for by, period, limit in boards),
        "profile": (f"/v1/agents/agent-{rng.randrange(agents)}/profile" for _ in itertools.count()),
        "search": (f"/v1/find/agents?prefix=AGENT-{rng.randrange(100)}" for _ in itertools.count()),
    }


async def measure(settings: Settings, args: argparse.Namespace) -> tuple[float, dict[str, list[float]]]:
    """Fill, ask, and return the seconds of filling, and those of each answer by what was asked."""
    services = Services.build(settings, FakeWorld())
    services.start()
    end = datetime.now(UTC)
    start = end - timedelta(days=DAYS)
    await event_log_days.make(services.engine, start.date(), end.date() + timedelta(days=1))
    filling = await fill(services, facts(args.facts, args.agents, args.chunks, start))
    await put_world(services, args.chunks, args.agents)
    rng = random.Random(1)
    took: dict[str, list[float]] = {}
    transport = httpx.ASGITransport(create_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        for name, paths in questions(args.agents, rng).items():
            for path in itertools.islice(paths, WARM_UP):
                await http.get(path, headers=DEV)
            for path in itertools.islice(paths, args.questions):
                began = time.perf_counter()
                answer = await http.get(path, headers=DEV)
                took.setdefault(name, []).append(time.perf_counter() - began)
                assert answer.status_code == 200, answer.text
    for _ in range(args.questions):
        began = time.perf_counter()
        await event_log.history(services.engine, f"agent-{rng.randrange(args.agents)}", limit=100)
        took.setdefault("history", []).append(time.perf_counter() - began)
    await services.close()
    return filling, took


def main() -> None:
    """Start the servers, measure, print; exit with 1 when an answer took longer than it may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=10_000)
    parser.add_argument("--facts", type=int, default=100_000)
    parser.add_argument("--agents", type=int, default=5_000)
    parser.add_argument("--questions", type=int, default=200)
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with (
        tempfile.TemporaryDirectory(prefix="ccbench-") as directory,
        EmbeddedServices(Path(directory) / "data") as servers,
    ):
        asyncio.run(upgrade(servers.database_url))
        settings = Settings(
            environment="test",
            database_url=servers.database_url,
            redis_url=servers.redis_url,
            limit_watching=UNLIMITED,
        )
        filling, took = asyncio.run(measure(settings, args))
    print(f"{args.chunks} chunks, {args.facts} facts of {DAYS} days, {args.agents} agents;", end=" ")
    print(f"{args.facts / filling:.0f} facts a second written and counted")
    for name, times in took.items():
        times.sort()
        p99 = times[int(len(times) * 0.99)]
        print(f"{name}: {len(times)} answers,", end=" ")
        print(f"p50 {statistics.median(times) * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms, longest {times[-1] * 1e3:.1f} ms")
    sys.exit(int(max(max(times) for times in took.values()) > BOUND_MS / 1e3))


if __name__ == "__main__":
    main()
