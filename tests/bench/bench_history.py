"""How long a page of an agent's history takes out of a full event log.

python tests/bench/bench_history.py [--facts 100000] [--agents 5000] [--pages 200]

Real PostgreSQL; printed are the times of the store's query, at random agents, first pages and later ones.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from sqlalchemy import text

from embedded.services import EmbeddedServices
from migrations.run import upgrade
from store import event_log, event_log_days
from store.engine import make_engine

DAYS = 14
FILL = text(
    "INSERT INTO event_logs (at, entry_id, run_id, tick, chunk_id, agent_id, kind, payload)"
    " SELECT at, CAST(extract(epoch FROM at) * 1000 AS bigint) || '-' || n, 'run_1', n, 'chunk-' || n % 10000,"
    " 'agent-' || n * 7919 % :agents, (ARRAY['result', 'harvest', 'give', 'chat', 'crossing'])[1 + n % 5],"
    " jsonb_build_object('to', 'agent-' || n % :agents, 'to_chunk_id', 'chunk-' || n % 10000, 'amount', 1)"
    " FROM (SELECT n, date_trunc('milliseconds', CAST(:start AS timestamptz) + n * CAST(:step AS interval)) AS at"
    " FROM generate_series(0, :facts - 1) AS n) AS numbers"
)


async def measure(url: str, facts: int, agents: int, pages: int) -> list[float]:
    """Fill the log and return the seconds that each page took."""
    engine = make_engine(url)
    end = datetime.now(UTC)
    start = end - timedelta(days=DAYS)
    await event_log_days.make(engine, start.date(), end.date() + timedelta(days=1))
    async with engine.begin() as connection:
        step = timedelta(days=DAYS) / facts
        await connection.execute(FILL, {"start": start, "step": step, "facts": facts, "agents": agents})
    async with engine.begin() as connection:
        await connection.execute(text("ANALYZE event_logs"))
    rng = random.Random(1)
    took: list[float] = []
    before: str | None = None
    agent = "agent-0"
    while len(took) < pages:
        began = time.perf_counter()
        page = await event_log.history(engine, agent, before=before, limit=10)
        took.append(time.perf_counter() - began)
        before = page.events[-1].entry_id if page.more else None
        if before is None:
            agent = f"agent-{rng.randrange(agents)}"
    await engine.dispose()
    return took


def main() -> None:
    """Start PostgreSQL, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--facts", type=int, default=100_000)
    parser.add_argument("--agents", type=int, default=5_000)
    parser.add_argument("--pages", type=int, default=200)
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="ccbench-") as directory,
        EmbeddedServices(Path(directory) / "data") as services,
    ):
        asyncio.run(upgrade(services.database_url))
        took = sorted(asyncio.run(measure(services.database_url, args.facts, args.agents, args.pages)))
    p99 = took[int(len(took) * 0.99)]
    print(f"{args.facts} facts of {DAYS} days, {args.agents} agents, {len(took)} pages:", end=" ")
    print(f"p50 {statistics.median(took) * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms, longest {took[-1] * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
