from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from api import metrics
from api.command_counts import commands_decided, commands_refused
from cluster import hour
from cluster.hour import Hour, keep
from streaming import keys
from tests.api.operator.status import status


def with_counts(decided: int, refused: dict[str, int], pid: int = 1) -> dict[str, Any]:
    found = status()
    found["actors"]["gateway-0"] |= {"decided": decided, "refused": refused, "pid": pid}
    return found


def test_a_point_has_what_was_gained_in_its_ten_seconds() -> None:
    made = Hour()
    assert made.note(with_counts(1_000, {"busy": 50}), 0) is None
    assert made.note(with_counts(1_050, {"busy": 50}), 5_000) is None
    point = made.note(with_counts(1_100, {"busy": 60, "rate_limited": 5}), 10_000)
    assert point is not None
    assert (point["commands_per_s"], point["refused_per_s"]) == (10.0, 1.5)
    assert point["refusals"] == {"busy": 1.0, "rate_limited": 0.5}
    assert (point["agents"], point["connections"], point["tick_p99_ms"]) == (14, 3, 3.0)


def test_a_process_that_has_begun_again_has_gained_what_it_says_and_one_that_is_silent_nothing() -> None:
    made = Hour()
    made.note(with_counts(1_000, {}), 0)
    assert made.note(with_counts(20, {}, pid=2), 5_000) is None
    silent = status()
    silent["actors"]["gateway-0"] = {"error": "no answer"}
    assert made.note(silent, 7_000) is None
    point = made.note(with_counts(40, {}, pid=2), 10_000)
    assert point is not None
    assert point["commands_per_s"] == 4.0


async def test_an_hour_is_kept(redis: Redis, monkeypatch: Any) -> None:
    monkeypatch.setattr(hour, "POINTS", 3)
    for number in range(5):
        await keep(redis, {"at_ms": number})
    assert await redis.lrange(keys.HOUR, 0, -1) == [b'{"at_ms":4}', b'{"at_ms":3}', b'{"at_ms":2}']


def test_commands_are_counted_by_reason() -> None:
    decided, refused = commands_decided(), commands_refused().get("busy", 0)
    metrics.COMMANDS_DECIDED.labels("true").inc()
    metrics.COMMANDS_REFUSED.labels("busy").inc(2)
    assert (commands_decided() - decided, commands_refused()["busy"] - refused) == (1, 2)
