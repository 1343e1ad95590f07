"""Gaps between ticks, from bytes."""

from __future__ import annotations

import pytest

from loadtest.measures import Measures
from loadtest.ticks import TickWatch


def delta(tick: int, *states: str) -> bytes:
    agents = ",".join(f'{{"id":"a","x":1,"y":1,"activity_state":"{state}"}}' for state in states)
    return f'{{"type":"chunk_delta","payload":{{"chunk_id":"c","tick":{tick},"agents":[{agents}]}}}}'.encode()


def watched(*arrivals: tuple[float, bytes]) -> Measures:
    watch, measures = TickWatch(), Measures()
    for now, raw in arrivals:
        watch.note(raw, now, measures)
    return measures


def test_the_time_between_two_ticks_is_a_gap() -> None:
    measures = watched((1.0, delta(5, "moving")), (1.2, delta(6, "idle", "moving")), (1.4, delta(7, "idle")))
    assert measures.times["tick_gap"].count == 2
    assert measures.times["tick_gap"].max_s == pytest.approx(0.2)
    assert measures.counts["ticks_skipped"] == 0


def test_a_quiet_chunk_has_no_gaps() -> None:
    assert watched((1.0, delta(5, "idle")), (9.0, delta(45, "idle"))).times["tick_gap"].count == 0


def test_a_stall_shows_whether_its_ticks_were_skipped_or_not() -> None:
    skipped = watched((1.0, delta(5, "moving")), (4.0, delta(20, "moving")))
    late = watched((1.0, delta(5, "moving")), (4.0, delta(6, "moving")))
    assert skipped.times["tick_gap"].max_s == late.times["tick_gap"].max_s == pytest.approx(3.0)
    assert (skipped.counts["ticks_skipped"], late.counts["ticks_skipped"]) == (14, 0)


def test_after_a_restart_nothing_is_compared() -> None:
    watch, measures = TickWatch(), Measures()
    watch.note(delta(5, "moving"), 1.0, measures)
    watch.restart()
    watch.note(delta(400, "moving"), 3.0, measures)
    assert measures.times["tick_gap"].count == 0


@pytest.mark.parametrize("raw", [b"", b"{}", b'"tick":', b'"tick":"5"', b'"tick_base":5', b'"tick":' + b"9" * 400])
def test_what_has_no_tick_is_passed_over(raw: bytes) -> None:
    assert watched((1.0, delta(5, "moving")), (2.0, raw)).times["tick_gap"].count == 0


def test_spaces_and_repeats_do_no_harm() -> None:
    spaced = delta(6, "idle").replace(b'"tick":', b'"tick": ')
    measures = watched((1.0, delta(5, "moving")), (1.1, delta(5, "moving")), (1.2, spaced))
    assert measures.times["tick_gap"].count == 1
