"""Counters and times of one shard, read by metrics and status."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from cluster.shard.costs import ChunkCosts
from world.ids import ChunkId
from world.outputs import Output, PrivateEvent

WINDOW: Final = 512
#: How many of the newest ticks say how a shard is now: twenty seconds of them.
NEWEST_TICKS: Final = 100

#: The one type of resource there is; results do not name it.
GOLD: Final = "gold"
#: Refusals of a harvest that say something about it, and not about the agent or the server.
HARVEST_REFUSALS: Final = frozenset({"node_not_found", "too_far", "depleted"})


#: Bounds in seconds that ticks and commits are counted by.
BOUNDS_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0)


class ShardStats:
    """Counts since the start of this epoch; times over the last ``WINDOW`` samples, in seconds."""

    def __init__(self) -> None:
        self.ticks = 0
        self.ticks_skipped = 0
        self.reloads = 0
        self.commits = 0
        self.last_tick_at = 0.0
        self.tick_times: deque[float] = deque(maxlen=WINDOW)
        self.tick_seconds = 0.0
        #: How late each tick began.
        self.tick_lags: deque[float] = deque(maxlen=WINDOW)
        #: How many took at most as long as each of ``BOUNDS_S`` and longer than the one before; then those beyond all.
        self.tick_counts = [0] * (len(BOUNDS_S) + 1)
        self.commit_times: deque[float] = deque(maxlen=WINDOW)
        self.commit_seconds = 0.0
        self.commit_counts = [0] * (len(BOUNDS_S) + 1)
        #: Facts for the event log in what was committed.
        self.facts = 0
        self.results: Counter[str] = Counter()
        #: Crossings by kind (local, remote; new: towards a neighbour that is still to be made) and outcome.
        self.crossings: Counter[tuple[str, str]] = Counter()
        #: Completed harvests, by type of resource.
        self.harvests: Counter[str] = Counter()
        self.harvest_failures: Counter[str] = Counter()
        self.harvested_units: Counter[str] = Counter()
        self.costs = ChunkCosts(time.perf_counter_ns(), time.process_time_ns())

    def tick(self, seconds: float, *, now: float) -> None:
        """Count a tick that has been run and committed."""
        self.ticks += 1
        self.last_tick_at = now
        self.tick_times.append(seconds)
        self.tick_seconds += seconds
        self.tick_counts[bisect_left(BOUNDS_S, seconds)] += 1

    def commit(self, seconds: float) -> None:
        """Count a commit that has been answered."""
        self.commits += 1
        self.commit_times.append(seconds)
        self.commit_seconds += seconds
        self.commit_counts[bisect_left(BOUNDS_S, seconds)] += 1

    def refused(self, cmd: object, reason: str | None) -> None:
        """Count a command that was refused, for the first time."""
        if isinstance(cmd, dict) and cmd.get("type") == "harvest" and reason in HARVEST_REFUSALS:
            self.harvest_failures[reason] += 1

    def count(self, output: Output, holds: Callable[[ChunkId], bool]) -> None:
        """Count what a committed output shows; ``holds`` says whether a chunk is this shard's."""
        transitions = 0
        for event in output.private:
            if event.kind == "command_result":
                self._count_result(event, holds)
            elif event.kind == "chunk_transition":
                transitions += 1
        remote = len(output.departures)
        self.crossings["remote", "completed"] += remote
        self.crossings["local", "completed"] += transitions - remote
        self.facts += len(output.archive)
        for fact in output.archive:
            if fact["fact"] == "harvest":
                self.harvested_units[GOLD] += fact["amount"]

    def _count_result(self, event: PrivateEvent, holds: Callable[[ChunkId], bool]) -> None:
        result = event.payload
        completed, reason = result["status"] == "completed", result.get("reason") or ""
        self.results[f"{result['status']}:{reason}"] += 1
        if "harvested" in result:
            if completed:
                self.harvests[GOLD] += 1
            else:
                self.harvest_failures[reason] += 1
        elif not completed and "blocker_chunk_id" in result:
            self.crossings["local" if holds(result["blocker_chunk_id"]) else "remote", "blocked"] += 1
        elif not completed and "detail" in result:
            no_answer = result["detail"] == "no_answer"
            self.crossings["remote" if no_answer else "new", "no_answer" if no_answer else "no_neighbor"] += 1

    def describe(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return {
            "ticks": self.ticks,
            "ticks_skipped": self.ticks_skipped,
            "reloads": self.reloads,
            "commits": self.commits,
            "tick_ms": quantiles_ms(self.tick_times),
            "commit_ms": quantiles_ms(self.commit_times),
            "lag_ms": quantiles_ms(self.tick_lags),
            "cpu": round(self.costs.cpu, 3),
            "results": dict(self.results),
            "crossings": {f"{kind}:{outcome}": count for (kind, outcome), count in self.crossings.items()},
        }


def quantiles_ms(samples: deque[float]) -> dict[str, float]:
    """Return p50, p95 and p99 in milliseconds; zeroes when there are no samples."""
    if not samples:
        return {"p50": 0.0, "p95": 0.0, "p99": 0.0}
    ordered = sorted(samples)
    last = len(ordered) - 1
    return {f"p{q}": round(ordered[min(last, len(ordered) * q // 100)] * 1000, 3) for q in (50, 95, 99)}


def newest_p99_ms(samples: deque[float]) -> float:
    """Return the p99 of the newest ticks' samples in milliseconds; 0 when there are none."""
    ordered = sorted(islice(reversed(samples), NEWEST_TICKS))
    return round(ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1000, 3) if ordered else 0.0
