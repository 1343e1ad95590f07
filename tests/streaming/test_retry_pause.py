"""Pauses double up to a bound, and begin anew after a success."""

import asyncio

import pytest

from streaming.retry_pause import RetryPause


def test_doubles_up_to_its_bound() -> None:
    pause = RetryPause(0.1, 0.5)
    assert [pause.next_s() for _ in range(5)] == pytest.approx([0.1, 0.2, 0.4, 0.5, 0.5])


def test_begins_anew_after_a_success() -> None:
    pause = RetryPause(0.1, 0.5)
    pause.next_s()
    pause.next_s()
    pause.reset()
    assert pause.next_s() == pytest.approx(0.1)


def test_a_server_that_is_away_for_weeks_overflows_nothing() -> None:
    pause = RetryPause(0.05, 1.0)
    assert max(pause.next_s() for _ in range(5_000)) == 1.0


def test_jitter_stays_around_the_pause_and_differs() -> None:
    pauses = [RetryPause(1.0, 1.0, jitter=True).next_s() for _ in range(50)]
    assert all(0.5 <= pause <= 1.5 for pause in pauses)
    assert len(set(pauses)) > 1


async def test_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    pause = RetryPause(0.2, 10.0)
    await pause.wait()
    await pause.wait()
    assert waited == pytest.approx([0.2, 0.4])
