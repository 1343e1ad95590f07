"""Recordings and the stream as one, and the bounds of asking."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import pytest
from redis.asyncio import Redis

from api.errors import ApiError
from api.kept_answers import KeptAnswers
from api.past.process import PastUnavailable
from api.past.reader import MOVES_MOST, PLAYING_MOST, WAITING_MOST, PastReader
from config.settings import Settings
from recordings.agent_page import AgentPage
from recordings.kept import KeptPast
from recordings.past_page import PastDelta, PastPage
from streaming import keys
from tests.streaming.writer import ChunkWriter, twenty_ticks
from world.ids import shard_of

SETTINGS = Settings(environment="test", database_url="postgresql://x/x", redis_url="redis://x")


class Answers:
    """Answers to what a process would be asked."""

    def __init__(self) -> None:
        self.page = PastPage("chunk-0", 1, 8, static=b"{}", state=b"{}", deltas=[PastDelta(8, b"{}", 1)], ended=True)
        self.asked: list[dict[str, Any]] = []
        self.go = threading.Event()
        self.go.set()
        self.answer: bytes | None = None

    def __call__(self, request: dict[str, Any]) -> bytes:
        self.asked.append(request)
        assert self.go.wait(20)
        if self.answer == b"":
            raise PastUnavailable
        return b"P" + self.page.pack() if self.answer is None else self.answer


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def reader(redis: Redis, answers: Answers) -> Iterator[PastReader]:
    reader = PastReader(redis, SETTINGS, answers)
    yield reader
    answers.go.set()
    reader.close()


@pytest.fixture
async def chunk(redis: Redis) -> ChunkWriter:
    """Ticks up to 20, of which the stream has those from 6 on."""
    return await twenty_ticks(redis)


async def test_the_stream_goes_on_after_the_recording(reader: PastReader, answers: Answers, chunk: ChunkWriter) -> None:
    page = await reader.page("chunk-0", 1, 100)
    assert [delta.tick for delta in page.deltas] == list(range(8, 21))
    assert page.ended
    assert answers.asked[0]["directory"].endswith("/recordings")


async def test_the_last_minute_costs_no_process(reader: PastReader, answers: Answers, chunk: ChunkWriter) -> None:
    page = await reader.page("chunk-0", 12, 15)
    assert [delta.tick for delta in page.deltas] == [12, 13, 14, 15]
    assert answers.asked == []


async def test_a_full_page_has_not_ended(reader: PastReader, chunk: ChunkWriter) -> None:
    page = await reader.page("chunk-0", 1, 100, 1)
    assert [delta.tick for delta in page.deltas] == [8]
    assert not page.ended


async def test_where_nothing_is_recorded(reader: PastReader, answers: Answers, chunk: ChunkWriter) -> None:
    answers.page = PastPage("chunk-0", 1, 0, ended=True)
    page = await reader.page("chunk-0", 1, 100)
    assert page.gap is not None
    assert (page.gap.first, page.gap.last, page.gap.reason) == (1, 5, "not_recorded")


async def test_too_many_ask(reader: PastReader, answers: Answers) -> None:
    answers.go.clear()
    asking = [asyncio.create_task(reader.page("chunk-0", 1, 5)) for _ in range(WAITING_MOST)]
    while reader._waiting < WAITING_MOST:
        await asyncio.sleep(0.001)
    with pytest.raises(ApiError, match="overloaded") as refused:
        await reader.page("chunk-0", 1, 5)
    assert refused.value.headers == {"retry-after": "1"}
    answers.go.set()
    assert len(await asyncio.gather(*asking)) == WAITING_MOST
    await reader.page("chunk-0", 1, 5)


@pytest.mark.parametrize("answer", [b"", b"A"], ids=["no process", "place away"])
async def test_recordings_are_away(reader: PastReader, answers: Answers, answer: bytes) -> None:
    answers.answer = answer
    with pytest.raises(ApiError, match="unavailable"):
        await reader.page("chunk-0", 1, 5)


async def test_a_moment(reader: PastReader, answers: Answers, redis: Redis) -> None:
    answers.answer = b"T17"
    assert await reader.tick_at("chunk-0", 1_800_000_000_000) == 17
    assert answers.asked[0]["ms"] == 1_800_000_000_000
    assert not await redis.exists(keys.chunk("chunk-0"))


def test_so_many_play_at_once(reader: PastReader) -> None:
    with ExitStack() as stack:
        for _ in range(PLAYING_MOST):
            assert stack.enter_context(reader.playing())
        assert reader.full
        assert not stack.enter_context(reader.playing())
    assert not reader.full


async def test_a_page_of_an_agent_comes_from_the_process_alone(
    reader: PastReader, answers: Answers, chunk: ChunkWriter
) -> None:
    page = AgentPage(answers.page, present=True, seen=True)
    answers.answer = b"P" + page.pack()
    assert await reader.agent_page("ada", "chunk-0", 1, 7) == page
    asked = {name: answers.asked[0].get(name) for name in ("agent_id", "chunk_id", "first", "limit")}
    assert asked == {"agent_id": "ada", "chunk_id": "chunk-0", "first": 1, "limit": 7}


async def test_so_many_read_moves_at_once(reader: PastReader) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(MOVES_MOST):
            await stack.enter_async_context(reader.reading_moves())
        with pytest.raises(ApiError, match="overloaded"):
            await stack.enter_async_context(reader.reading_moves())
    async with reader.reading_moves():
        pass


async def test_chunks_of_a_shard_share_how_far_back_it_goes(reader: PastReader, answers: Answers) -> None:
    answers.answer = b"K" + KeptPast(first=3, shards=2).pack()
    reader._kept = KeptAnswers(1.0, clock=lambda: 0.0)
    chunks = [f"chunk-{number}" for number in range(20)]
    for chunk_id in chunks:
        assert (await reader.kept(chunk_id)).first == 3
    by_shard = [shard_of(str(one["chunk_id"]), 2) for one in answers.asked[1:]]  # the first said how many there are
    assert sorted(by_shard) == sorted({shard_of(chunk_id, 2) for chunk_id in chunks}) == [0, 1]
