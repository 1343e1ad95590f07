"""When the client of the measurement measures, and what it prints."""

from __future__ import annotations

import json

import pytest

from tests.bench.cost.players import Script
from tests.loadtest.makers import plan, sample


async def test_it_prints_once_when_the_measured_seconds_are_over(capsys: pytest.CaptureFixture[str]) -> None:
    script = Script(plan(agents=2, spectators=0, duration_s=2), warmup_s=1)
    assert not (await script.report(sample(0, 0, "ramp", joins=2, joined_s=0.5))).leave
    for second in (1, 2, 3):
        orders = await script.report(sample(0, second, agents=2, deliveries=100, acks=1, rtt_s=(0.004,)))
        assert (orders.measure_from, orders.leave) == (3, False)
    assert capsys.readouterr().out == ""
    assert (await script.report(sample(0, 4, agents=2, deliveries=20, acks=3, rtt_s=(0.004,)))).leave
    told = json.loads(capsys.readouterr().out)
    assert (told["agents"], told["acks_per_s"], told["deltas_per_s"]) == (2, 2.0, 60.0)
    assert told["deltas_per_agent_s"]["median"] == 30.0
    assert told["rtt_ms"]["p50"] == pytest.approx(4, rel=0.1)
