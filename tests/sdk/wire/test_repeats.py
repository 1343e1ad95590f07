"""What counts as seen before."""

from __future__ import annotations

from chunkcrawl.wire.repeats import SEEN_MAX, Repeats
from tests.sdk.builders import delta, event, static


def opened(repeats: Repeats, tick: int) -> None:
    repeats.is_repeat(event("session_ready", channel_id="c"))
    repeats.is_repeat(event("chunk_static", **static()))
    assert not repeats.is_repeat(event("chunk_delta", **delta(tick)))


def test_missed_deltas_that_come_after_the_present_state_are_news() -> None:
    """They hold chat that nobody has seen; the view ignores their old state by itself."""
    repeats = Repeats()
    opened(repeats, 10)
    assert not repeats.is_repeat(event("chunk_delta", **delta(8)))
    assert not repeats.is_repeat(event("chunk_delta", **delta(9)))
    assert repeats.is_repeat(event("chunk_delta", **delta(10)))


def test_a_world_from_a_backup_counts_its_ticks_again() -> None:
    repeats = Repeats()
    opened(repeats, 100)
    assert not repeats.is_repeat(event("chunk_delta", **delta(101)))
    opened(repeats, 99)
    assert not repeats.is_repeat(event("chunk_delta", **delta(100)))
    assert not repeats.is_repeat(event("chunk_delta", **delta(101)))


def test_the_same_id_on_events_of_different_types_is_no_repeat() -> None:
    repeats = Repeats()
    assert not repeats.is_repeat(event("command_ack", "e-1", accepted=True))
    assert not repeats.is_repeat(event("command_result", "e-1", status="completed"))
    assert repeats.is_repeat(event("command_ack", "e-1", accepted=True))


def test_events_without_an_id_are_never_repeats() -> None:
    repeats = Repeats()
    assert not repeats.is_repeat(event("command_ack", accepted=True))
    assert not repeats.is_repeat(event("command_ack", accepted=True))


def test_memory_is_bounded() -> None:
    repeats = Repeats()
    for number in range(SEEN_MAX + 50):
        repeats.is_repeat(event("command_ack", f"e-{number}", accepted=True))
        repeats.is_repeat(event("chunk_delta", **delta(number)))
    assert len(repeats._seen) == SEEN_MAX
    assert len(repeats._ticks) == SEEN_MAX
