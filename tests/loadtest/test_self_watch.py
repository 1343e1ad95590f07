"""When generators are the bottleneck themselves."""

from __future__ import annotations

import asyncio
import time

import pytest

from loadtest.histogram import Histogram
from loadtest.self_watch import SelfWatch, judge
from tests.loadtest.makers import sample


@pytest.mark.parametrize(
    ("cpu_share", "lag_s", "verdict"),
    [
        (0.2, 0.001, "free"),
        (0.9, 0.001, "saturated"),
        (1.0, 0.5, "saturated"),
        (0.2, 0.05, "starved"),
        (0.0, None, "unknown"),
    ],
)
def test_verdicts(cpu_share: float, lag_s: float | None, verdict: str) -> None:
    assert judge(cpu_share, lag_s) == verdict


async def test_a_blocked_loop_is_late_and_busy() -> None:
    lag = Histogram()
    watch = SelfWatch(lag)
    watch.start()
    await asyncio.sleep(0.06)
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    await asyncio.sleep(0.01)
    watch.stop()
    found = sample()
    watch.fill(found)
    assert lag.max_s > 0.2
    assert found.cpu_s >= 0.3
    assert found.memory_bytes > 0
    count = lag.count
    await asyncio.sleep(0.15)
    assert lag.count == count, "stopped is stopped"
