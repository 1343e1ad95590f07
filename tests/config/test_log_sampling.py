"""Which lines are left out, and that it is told."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from config.log_sampling import KINDS_MOST, LINES_PER_S, Sampler


class Clock:
    def __init__(self) -> None:
        self.now = 7.5

    def __call__(self) -> float:
        return self.now


def answer(kind: str = "valid", **fields: Any) -> dict[str, Any]:
    return {"event": "challenge_answer", "verify_result": kind, **fields}


def written(sampler: Sampler, *events: dict[str, Any]) -> list[Any]:
    found = []
    for event in events:
        try:
            found.append(sampler(event))
        except structlog.DropEvent:
            continue
    return found


def test_so_many_a_second_and_the_next_says_what_was_left_out() -> None:
    clock = Clock()
    sampler = Sampler(clock)
    assert len(written(sampler, *(answer() for _ in range(20)))) == LINES_PER_S
    clock.now += 1
    after = written(sampler, answer(), answer())
    assert after == [answer(left_out=20 - LINES_PER_S), answer()]


def test_a_line_that_would_be_left_out_need_not_be_made() -> None:
    clock = Clock()
    sampler = Sampler(clock)
    assert not sampler.leaves_out("challenge_answer", "valid")
    written(sampler, *(answer() for _ in range(LINES_PER_S)))
    assert [sampler.leaves_out("challenge_answer", "valid") for _ in range(3)] == [True] * 3
    assert not sampler.leaves_out("challenge_answer", "bad_signature")
    clock.now += 1
    assert written(sampler, answer()) == [answer(left_out=3)]


def test_a_flood_of_one_kind_hides_no_other() -> None:
    sampler = Sampler(Clock())
    written(sampler, *(answer() for _ in range(1_000)))
    assert written(sampler, answer("bad_signature")) == [answer("bad_signature")]


@pytest.mark.parametrize("event", [{"event": "request"}, {"event": "shard_started", "verify_result": "valid"}])
def test_other_lines_are_all_written(event: dict[str, Any]) -> None:
    assert len(written(Sampler(Clock()), *([event] * 100))) == 100


def test_kinds_take_a_bounded_place() -> None:
    sampler = Sampler(Clock())
    written(sampler, *(answer(str(number)) for number in range(10 * KINDS_MOST)))
    assert len(sampler._allowances) <= KINDS_MOST
