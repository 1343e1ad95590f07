"""Full jitter: bounded, growing, spread."""

from __future__ import annotations

import random

from chunkcrawl.transport.backoff import RESTART_SPREAD_S, Backoff


def test_delays_stay_within_a_window_that_doubles_up_to_the_cap() -> None:
    backoff = Backoff(random.Random(1), base_s=1.0, cap_s=8.0)
    for window in (1, 2, 4, 8, 8, 8):
        assert 0 <= backoff.next_delay() <= window


def test_a_reset_starts_small_again() -> None:
    backoff = Backoff(random.Random(1), base_s=1.0, cap_s=60.0)
    for _ in range(10_000):
        backoff.next_delay()
    backoff.reset()
    assert backoff.tries == 0
    assert backoff.next_delay() <= 1.0


def test_the_servers_hint_is_a_floor_not_a_meeting_point() -> None:
    delays = {Backoff(random.Random(seed)).next_delay(at_least_s=5.0) for seed in range(50)}
    assert min(delays) >= 5.0
    assert len(delays) == 50


def test_a_thousand_clients_of_a_restarted_server_spread_over_the_window() -> None:
    delays = [Backoff(random.Random(seed)).next_delay(spread_s=RESTART_SPREAD_S) for seed in range(1000)]
    per_second = [sum(int(delay) == second for delay in delays) for second in range(10)]
    assert max(delays) <= RESTART_SPREAD_S
    assert max(per_second) < 200
    assert min(per_second) > 50
