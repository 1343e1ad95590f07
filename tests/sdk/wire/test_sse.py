"""Event streams: odd line separators, odd pieces, bounds (pitfall B05 c)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunkcrawl.errors import ProtocolViolation
from chunkcrawl.wire.sse import server_sent_events

TEXTS = [
    "a\u2028b",
    "a\u2029b",
    "a\u0085b",
    "a\x0b\x0c\x1c\x1d\x1eb",
    "a\rb",
    "a\nb",
    "x\n\nevent: resync_required\ndata: {}\n\n",
    "h\u00e9llo \U0001f600",
]


class Pieces(httpx.AsyncByteStream):
    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece


def response(*pieces: bytes, content_type: str = "text/event-stream") -> httpx.Response:
    return httpx.Response(200, headers={"content-type": content_type}, stream=Pieces(*pieces))


async def read(*pieces: bytes, limit: int = 10_000) -> list[tuple[str, str, str]]:
    return [
        (event.event, event.data, event.id) async for event in server_sent_events(response(*pieces), limit_bytes=limit)
    ]


def chat(text: str) -> bytes:
    data = json.dumps({"type": "chunk_delta", "text": text}, ensure_ascii=False)
    return f"id: c:1:0\nevent: chunk_delta\ndata: {data}\n\n".encode()


@pytest.mark.parametrize("text", TEXTS)
async def test_each_text_is_one_event_and_comes_back_whole(text: str) -> None:
    events = await read(chat(text))
    assert [name for name, _, _ in events] == ["chunk_delta"]
    assert json.loads(events[0][1])["text"] == text


@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4), st.data())
async def test_how_the_bytes_are_cut_makes_no_difference(texts: list[str], data: st.DataObject) -> None:
    whole = b"".join(chat(text) for text in texts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert await read(*(piece for piece in pieces if piece)) == await read(whole)


@pytest.mark.parametrize("newline", [b"\n", b"\r", b"\r\n"])
async def test_all_three_line_ends_of_the_standard_work(newline: bytes) -> None:
    lines = (b"event: heartbeat", b"data: {}", b"", b"event: chunk_closed", b"data: {}", b"", b"")
    events = await read(newline.join(lines))
    assert [name for name, _, _ in events] == ["heartbeat", "chunk_closed"]


async def test_comments_make_no_events_even_after_an_id() -> None:
    events = await read(b"id: c:1:0\nevent: chunk_delta\ndata: {}\n\n", b": keep\n\n", b": keep\n\n")
    assert len(events) == 1


async def test_an_event_that_was_cut_off_is_not_shown() -> None:
    events = await read(b"event: heartbeat\ndata: {}\n\nevent: chunk_delta\ndata: {")
    assert [name for name, _, _ in events] == ["heartbeat"]


async def test_an_event_without_end_is_not_collected_for_ever() -> None:
    with pytest.raises(ProtocolViolation, match="more than 1000 bytes"):
        await read(*([b"data: " + b"x" * 94] * 20), limit=1000)


async def test_many_small_events_never_reach_the_bound() -> None:
    assert len(await read(*([b"data: {}\n\n"] * 500), limit=1000)) == 500


async def test_a_page_is_no_event_stream() -> None:
    with pytest.raises(ProtocolViolation, match="text/event-stream"):
        async for _ in server_sent_events(response(b"<html>", content_type="text/html")):
            pass
