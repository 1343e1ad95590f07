"""Answers kept for a moment: one read for all who ask, bounded, and no failure is kept."""

from __future__ import annotations

import asyncio

import pytest

from api.kept_answers import KeptAnswers


class Source:
    """What is read, and how often."""

    def __init__(self) -> None:
        self.reads: list[str] = []
        self.go = asyncio.Event()
        self.go.set()
        self.fault: Exception | None = None

    async def read(self, name: str) -> bytes:
        self.reads.append(name)
        await self.go.wait()
        if self.fault:
            raise self.fault
        return f"{name} {len(self.reads)}".encode()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_an_answer_is_read_again_when_it_is_old() -> None:
    source, clock = Source(), Clock()
    kept = KeptAnswers(2.0, clock=clock)
    assert await kept.get("a", lambda: source.read("a")) == b"a 1"
    clock.now = 1.9
    assert await kept.get("a", lambda: source.read("a")) == b"a 1"
    assert await kept.get("b", lambda: source.read("b")) == b"b 2"
    clock.now = 2.0
    assert await kept.get("a", lambda: source.read("a")) == b"a 3"


async def test_many_at_once_cost_one_read_and_who_leaves_disturbs_nobody() -> None:
    source = Source()
    kept = KeptAnswers(2.0)
    source.go.clear()
    asking = [asyncio.create_task(kept.get("a", lambda: source.read("a"))) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.gather(asking[0], return_exceptions=True)
    source.go.set()
    assert await asyncio.gather(*asking[1:]) == [b"a 1"] * 4


async def test_a_failure_is_told_and_not_kept() -> None:
    source = Source()
    kept = KeptAnswers(2.0)
    source.fault = OSError("away")
    with pytest.raises(OSError, match="away"):
        await kept.get("a", lambda: source.read("a"))
    source.fault = None
    assert await kept.get("a", lambda: source.read("a")) == b"a 2"


async def test_the_oldest_goes_when_there_are_too_many() -> None:
    source = Source()
    kept = KeptAnswers(2.0, 2)
    for name in ("a", "b", "c", "b", "a"):
        await kept.get(name, lambda name=name: source.read(name))  # type: ignore[misc]
    assert source.reads == ["a", "b", "c", "a"]
