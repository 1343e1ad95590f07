"""The client that `bench_cost` plays with unless told otherwise: one generator of `chunkcrawl load`, without Ray.

    python -m tests.bench.cost.players --base URL --agents N --duration S --warmup S --think S --seed N

Prints one JSON line at the moment the measuring ends; whatever else is to be given as ``--client`` takes these options
and prints at least ``agents``, ``ramp_s``, ``acks_per_s``, ``rtt_ms {p50, p99}``, ``mb_per_s`` and
``deltas_per_agent_s {median}`` at that moment.
"""

from __future__ import annotations

import argparse
import json
import resource
import secrets
import sys
from dataclasses import replace

import uvloop

from loadtest.figures import figures_of
from loadtest.generator import generate
from loadtest.mailbox import Orders
from loadtest.measures import Sample
from loadtest.plan import Plan, Share
from loadtest.totals import Totals

SIDE_BY_SIDE = 8


class Script:
    """A mailbox for one generator: everybody in, a warm-up, so many seconds measured, and away."""

    def __init__(self, plan: Plan, warmup_s: int) -> None:
        self.plan, self.warmup_s = plan, warmup_s
        self.totals = Totals(1)
        self.orders = Orders()

    async def begin(self, task: int) -> None:
        """See ``MailboxApi``: nobody else is waited for."""

    async def report(self, sample: Sample) -> Orders:
        """See ``MailboxApi``."""
        self.totals.add(sample, self.orders)
        if sample.phase == "ready" and self.orders.measure_from is None:
            begin = sample.second + 1 + self.warmup_s
            self.orders = replace(self.orders, measure_from=begin, stop_at=begin + self.plan.duration_s)
        if self.orders.stop_at is not None and sample.second >= self.orders.stop_at - 1:
            self._print()
            self.orders = replace(self.orders, leave=True)
        return self.orders

    def _print(self) -> None:
        found, totals = figures_of(self.totals, generators_failed=0), self.totals
        agents = max(1, totals.agents)
        deltas = found["deliveries_per_s"] or 0.0
        line = {
            "agents": totals.agents,
            "failed_to_join": int(found["given_up"] or 0),
            "ramp_s": round(totals.joined_s, 2),
            "acks_per_s": found["acks_per_s"],
            "rtt_ms": {"p50": found["rtt_p50_ms"], "p99": found["rtt_p99_ms"]},
            "deltas_per_agent_s": {"median": round(deltas / agents, 3)},
            "deltas_per_s": deltas,
            "mb_per_s": found["mbytes_per_s"],
            "disconnects": found["disconnects"],
            "errors": found["errors"],
            "client_cores": found["cpu_share_max"],
        }
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="http://127.0.0.1:8000")
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--duration", type=int, default=15)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--think", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--side-by-side", type=int, default=SIDE_BY_SIDE)
    given = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    plan = Plan(
        base=given.base,
        agents=given.agents,
        spectators=0,
        duration_s=given.duration,
        scenario="wander",
        seed=given.seed,
        run_id=secrets.token_hex(3),
        ramp_s=0.0,
        side_by_side=given.side_by_side,
        think_s=given.think,
    )
    uvloop.run(generate(plan, Share(0, 1, 0, given.agents, 0), Script(plan, given.warmup)))


if __name__ == "__main__":
    main()
