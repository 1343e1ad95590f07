from __future__ import annotations

import pytest

from config.limit import Limit


@pytest.mark.parametrize(
    ("text", "burst", "interval_us"),
    [
        ("20+120/h", 20, 30_000_000),
        ("10+10/s", 10, 100_000),
        ("1+1/min", 1, 60_000_000),
        ("10000+5000/s", 10_000, 200),
        ("1000000+1000000/s", 1_000_000, 1),
        ("1+7/s", 1, 142_857),
    ],
)
def test_a_limit_is_how_many_at_once_and_how_fast_they_come_back(text: str, burst: int, interval_us: int) -> None:
    assert Limit.parse(text) == Limit(burst, interval_us)


@pytest.mark.parametrize(
    "text", ["", "20", "0+1/s", "1+0/s", "-1+1/s", "1+1/d", "1 + 1/s", "1+1/s\n", "1.5+1/s", "١+1/s", "9999999+1/s"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="limit|form"):
        Limit.parse(text)


def test_a_tokens_time_in_milliseconds_is_never_zero() -> None:
    assert [Limit(1, us).interval_ms for us in (1, 1_000, 1_001, 30_000_000)] == [1, 1, 2, 30_000]
