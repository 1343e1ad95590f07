"""What a shard counts of its commits."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from cluster.shard.stats import NEWEST_TICKS, WINDOW, ShardStats, newest_p99_ms, quantiles_ms
from world.ids import AgentId, ChunkId, HandoffId, Tick
from world.outputs import Departure, Output, PrivateEvent, PrivateKind
from world.records import AgentRecord

ADA, HERE, THERE = AgentId("ada"), ChunkId("chunk-0"), ChunkId("chunk-1")


def counted(*events: tuple[PrivateKind, dict[str, Any]], departures: int = 0, **more: Any) -> ShardStats:
    stats = ShardStats()
    private = [PrivateEvent(ADA, kind, payload, "t") for kind, payload in events]
    leaving = Departure(HandoffId("h"), AgentRecord(ADA, THERE, 0, 0), HERE, THERE, 0, 0)
    stats.count(
        Output(Tick(1), private=private, departures=[leaving] * departures, **more), lambda chunk: chunk == HERE
    )
    return stats


def test_results_by_status_and_reason() -> None:
    stats = counted(
        ("command_result", {"status": "completed"}),
        ("command_result", {"status": "failed", "reason": "blocked"}),
        ("command_result", {"status": "failed", "reason": "blocked"}),
    )
    assert stats.results == {"completed:": 1, "failed:blocked": 2}


def test_a_transition_without_a_departure_stayed_on_the_shard() -> None:
    stats = counted(("chunk_transition", {}), ("chunk_transition", {}), ("chunk_transition", {}), departures=1)
    assert stats.crossings == {("remote", "completed"): 1, ("local", "completed"): 2}


@pytest.mark.parametrize(
    ("fields", "counted_as"),
    [
        ({"blocker_chunk_id": HERE}, ("local", "blocked")),
        ({"blocker_chunk_id": THERE}, ("remote", "blocked")),
        ({"detail": "no_answer"}, ("remote", "no_answer")),
        ({"detail": "no_neighbor"}, ("new", "no_neighbor")),
    ],
)
def test_why_a_crossing_failed(fields: dict[str, Any], counted_as: tuple[str, str]) -> None:
    stats = counted(("command_result", {"status": "failed", "reason": "blocked", **fields}))
    assert stats.crossings[counted_as] == 1


def test_harvests_that_were_refused_and_what_was_harvested() -> None:
    stats = counted(archive=[{"fact": "harvest", "amount": 3}, {"fact": "give", "amount": 9}])
    for kind, reason in (("harvest", "depleted"), ("harvest", "too_far"), ("harvest", "busy"), ("give", "too_far")):
        stats.refused({"type": kind}, reason)
    stats.refused("no command", "invalid_cmd")
    assert stats.harvest_failures == {"depleted": 1, "too_far": 1}
    assert stats.harvested_units == {"gold": 3}


def test_times_are_of_the_last_samples_and_sums_of_all() -> None:
    stats = ShardStats()
    for n in range(WINDOW + 10):
        stats.tick(0.001 if n < 10 else 0.002, now=float(n))
        stats.commit(0.004)
    described = stats.describe()
    assert described["ticks"] == described["commits"] == WINDOW + 10
    assert described["tick_ms"] == {"p50": 2.0, "p95": 2.0, "p99": 2.0}
    assert stats.tick_seconds == pytest.approx(0.01 + WINDOW * 0.002)
    assert stats.last_tick_at == WINDOW + 9


def test_quantiles() -> None:
    assert quantiles_ms(deque()) == {"p50": 0.0, "p95": 0.0, "p99": 0.0}
    assert quantiles_ms(deque(n / 1000 for n in range(100))) == {"p50": 50.0, "p95": 95.0, "p99": 99.0}


def test_how_a_shard_is_now_says_the_newest_ticks_alone() -> None:
    assert newest_p99_ms(deque()) == 0.0
    ticks = deque([9.0] * NEWEST_TICKS + [0.001] * (NEWEST_TICKS - 1) + [0.5])
    assert newest_p99_ms(ticks) == 500.0
    ticks.extend([0.002] * NEWEST_TICKS)
    assert newest_p99_ms(ticks) == 2.0
