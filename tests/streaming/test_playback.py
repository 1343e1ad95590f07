from __future__ import annotations

import pytest

from streaming.playback import SPEED_LEAST, SPEED_MOST, Playback


@pytest.mark.parametrize(("speed", "seconds"), [(SPEED_LEAST, 20.0), (1.0, 10.0), (4.0, 2.5), (SPEED_MOST, 0.3125)])
def test_ticks_are_due_at_their_pace(speed: float, seconds: float) -> None:
    playback = Playback(tick=100, began_s=1_000.0, hz=5.0, speed=speed)
    assert playback.wait_s(100, 1_000.0) == 0
    assert playback.wait_s(150, 1_000.0) == pytest.approx(seconds)
    assert playback.wait_s(150, 1_000.0 + seconds + 1) == 0


def test_what_can_not_be_shown_is_not_waited_through() -> None:
    playback = Playback(tick=100, began_s=1_000.0, hz=5.0, speed=1.0).after_gap(9_000, 1_001.0)
    assert playback.wait_s(9_000, 1_001.0) == 0
    assert playback.wait_s(9_005, 1_001.0) == pytest.approx(1.0)
