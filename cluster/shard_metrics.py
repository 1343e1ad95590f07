"""A shard's figures for the metrics page.

Only labels that an operator's doing can make more of (``shard``), or that our own code enumerates.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Final

from api.exposition import Family, Kind, family, sample_key, single
from cluster.metrics_report import INCARNATION, DurationWindow, Report, process_families
from cluster.shard.runtime import ShardRuntime
from cluster.shard.stats import BOUNDS_S, GOLD, ShardStats, newest_p99_ms, quantiles_ms

#: Newest durations that a shard hands over: the ticks of about a minute.
RECENT: Final = 256


def shard_report(runtime: ShardRuntime, incarnation: str = INCARNATION) -> Report:
    """Return everything that the shard counts and measures."""
    name, stats = f"shard-{runtime.shard}", runtime.stats
    families = [*_now(runtime), *_counted(stats), *process_families(name)]
    windows = [
        _window("tick_duration_ms", "A tick with its commit.", stats.ticks, stats.tick_seconds, stats.tick_times),
        _window("commit_ms", "A commit to Redis.", stats.commits, stats.commit_seconds, stats.commit_times),
    ]
    return Report(name, incarnation, families, windows)


def _now(runtime: ShardRuntime) -> list[Family]:
    stats, world = runtime.stats, runtime.world
    age_s = round(time.monotonic() - stats.last_tick_at, 3) if stats.last_tick_at else float("inf")
    nodes = {GOLD: 0} | world.available_nodes
    return [
        single("active_chunks", "gauge", "Chunks that shards hold.", len(world.chunk_ids)),
        single("active_agents", "gauge", "Agents that stand in the world.", world.population),
        single("commits_waiting", "gauge", "Ticks and decisions that wait for their commit.", runtime.commits.waiting),
        single("busy_agents", "gauge", "Agents with a running command.", world.busy_agents),
        single("reserved_cells", "gauge", "Cells reserved for arrivals of other shards.", len(runtime.reservations)),
        _by("resource_nodes_active_total", "gauge", "Resource nodes that can be harvested.", "type", nodes),
        _of_shard(runtime, "shard_last_tick_age_seconds", "Since a shard's last tick.", age_s),
        _of_shard(runtime, "shard_tick", "Number of a shard's last tick.", runtime.tick),
        _of_shard(
            runtime, "shard_stalled", "1 while a shard waits for Redis.", runtime.journal.stalled_since is not None
        ),
        _of_shard(
            runtime, "shard_tick_p99_ms", "p99 of a shard's newest ticks.", quantiles_ms(stats.tick_times)["p99"]
        ),
        _of_shard(
            runtime, "shard_lag_p99_ms", "p99 of how late a shard's newest ticks began.", newest_p99_ms(stats.tick_lags)
        ),
    ]


def _counted(stats: ShardStats) -> list[Family]:
    results = [(what.partition(":"), count) for what, count in stats.results.items()]
    failed = {reason or "none": count for (status, _, reason), count in results if status == "failed"}
    completed = sum(count for (status, _, _), count in results if status == "completed")
    busy = {part: round(spent / 1e9, 3) for part, spent in stats.costs.spent_ns.items()}
    harvests, units = {GOLD: 0} | stats.harvests, {GOLD: 0} | stats.harvested_units
    return [
        single("ticks_total", "counter", "Ticks run.", stats.ticks),
        single("tick_skipped_total", "counter", "Tick numbers skipped, being too late.", stats.ticks_skipped),
        single("commits_total", "counter", "Commits to Redis.", stats.commits),
        _histogram("tick_seconds", "A tick with its commit.", stats.tick_counts, stats.tick_seconds),
        _histogram("commit_seconds", "A commit to Redis.", stats.commit_counts, stats.commit_seconds),
        single("archive_facts_total", "counter", "Facts for the event log that were committed.", stats.facts),
        single("shard_reloads_total", "counter", "Times a shard went back to its last commit.", stats.reloads),
        single("command_completed_total", "counter", "Accepted commands that completed.", completed),
        _by("command_failed_total", "counter", "Accepted commands that failed.", "reason", failed),
        _by("harvest_success_total", "counter", "Harvests completed.", "type", harvests),
        _by("harvest_fail_total", "counter", "Harvests refused or failed.", "reason", stats.harvest_failures),
        _by("harvest_units_total", "counter", "Units harvested.", "type", units),
        _by("shard_busy_seconds_total", "counter", "Time of shards by what it went into.", "part", busy),
        family(
            "crossing_total",
            "counter",
            "Steps over a chunk's boundary, to a neighbour of the same shard, of another, or one that is not made yet.",
            [({"kind": kind, "outcome": outcome}, count) for (kind, outcome), count in sorted(stats.crossings.items())],
        ),
    ]


def _by(name: str, kind: Kind, help_: str, label: str, values: Mapping[str, float]) -> Family:
    return family(name, kind, help_, [({label: value}, count) for value, count in sorted(values.items())])


def _of_shard(runtime: ShardRuntime, name: str, help_: str, value: float) -> Family:
    return family(name, "gauge", help_, [({"shard": str(runtime.shard)}, float(value))])


def _histogram(name: str, help_: str, counts: Sequence[int], total_s: float) -> Family:
    below = list(accumulate(counts))
    bounds = [*(f"{bound:g}" for bound in BOUNDS_S), "+Inf"]
    samples: dict[str, float] = {
        sample_key(f"{name}_bucket", {"le": bound}): count for bound, count in zip(bounds, below, strict=True)
    }
    return Family(name, "histogram", help_, samples | {f"{name}_sum": round(total_s, 6), f"{name}_count": below[-1]})


def _window(name: str, help_: str, count: int, total_s: float, times: deque[float]) -> DurationWindow:
    recent = [round(seconds * 1000, 3) for seconds in list(times)[-RECENT:]]
    help_ += " Quantiles over the newest ones of all shards."
    return DurationWindow(name, help_, count, round(total_s * 1000, 3), recent)
