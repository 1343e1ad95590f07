"""Counters and times of one shard, read by metrics and status."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

from world.outputs import Output

WINDOW = 512


class ShardStats:
    """Counts since the start of this life; times over the last ``WINDOW`` samples, in seconds."""

    def __init__(self) -> None:
        self.ticks = 0
        self.ticks_skipped = 0
        self.reloads = 0
        self.commits = 0
        self.last_tick_at = 0.0
        self.tick_times: deque[float] = deque(maxlen=WINDOW)
        self.commit_times: deque[float] = deque(maxlen=WINDOW)
        self.results: Counter[str] = Counter()
        self.crossings: Counter[str] = Counter()

    def tick(self, seconds: float, *, now: float) -> None:
        """One tick has been run and committed."""
        self.ticks += 1
        self.last_tick_at = now
        self.tick_times.append(seconds)

    def commit(self, seconds: float) -> None:
        """One commit has been answered."""
        self.commits += 1
        self.commit_times.append(seconds)

    def count(self, output: Output) -> None:
        """Count what a committed output shows."""
        for event in output.private:
            if event.kind == "command_result":
                reason = event.payload.get("reason")
                self.results[f"{event.payload['status']}:{reason or ''}"] += 1
            elif event.kind == "chunk_transition":
                self.crossings["local"] += 1
        self.crossings["remote"] += len(output.departures)
        self.crossings["local"] -= len(output.departures)

    def describe(self) -> dict[str, Any]:
        """The figures as plain values."""
        return {
            "ticks": self.ticks,
            "ticks_skipped": self.ticks_skipped,
            "reloads": self.reloads,
            "commits": self.commits,
            "tick_ms": quantiles_ms(self.tick_times),
            "commit_ms": quantiles_ms(self.commit_times),
            "results": dict(self.results),
            "crossings": dict(self.crossings),
        }


def quantiles_ms(samples: deque[float]) -> dict[str, float]:
    """p50, p95 and p99 in milliseconds; zeroes when there are no samples."""
    if not samples:
        return {"p50": 0.0, "p95": 0.0, "p99": 0.0}
    ordered = sorted(samples)
    last = len(ordered) - 1
    return {f"p{q}": round(ordered[min(last, len(ordered) * q // 100)] * 1000, 3) for q in (50, 95, 99)}
