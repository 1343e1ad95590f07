"""Event streams by callbacks: framing, refusals, bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chunkcrawl.errors import ApiError, ChunkcrawlError, ProtocolViolation, ServerUnreachable, TooManyRequests
from chunkcrawl.transport.http import Api
from chunkcrawl.wire.sse import EVENT_MAX_BYTES
from loadtest.event_stream import EventSplitter, SseConnection, open_stream
from loadtest.group import AgentGroup
from tests.loadtest.makers import plan

DELTA = b'id: chunk-0:5:0\nevent: chunk_delta\ndata: {"tick":5}\n\n'
PARSED = (b"chunk_delta", b"chunk-0:5:0", b'{"tick":5}')


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_come_whole_however_they_are_cut(end: bytes, size: int) -> None:
    text = (b": hello\n\n" + b"retry: 5\n\n" + DELTA + DELTA).replace(b"\n", end)
    # A CR at the end may be half of a CRLF, so the last event waits for what follows.
    text += b": next" + end
    splitter = EventSplitter()
    found = [event for at in range(0, len(text), size) for event in splitter.feed(text[at : at + size])]
    assert [event for event in found if event[2]] == [PARSED, PARSED]


def test_odd_separators_stay_inside_the_text() -> None:
    text = 'data: {"text":"a\u2028b\u0085c\x0bd"}\n\n'.encode()
    assert EventSplitter().feed(text) == [(b"message", b"", text[6:-2])]


def test_an_event_without_an_end_is_bounded() -> None:
    splitter = EventSplitter()
    splitter.feed(b"x" * EVENT_MAX_BYTES)
    with pytest.raises(ProtocolViolation):
        splitter.feed(b"x")


class Reader:
    def __init__(self) -> None:
        self.events: list[tuple[bytes, bytes, bytes]] = []
        self.came = asyncio.Event()

    def event(self, stream: SseConnection, name: bytes, event_id: bytes, data: bytes) -> None:
        self.events.append((name, event_id, data))
        self.came.set()


@asynccontextmanager
async def server(answer: bytes, *, stay: bool = False) -> AsyncIterator[tuple[AgentGroup, list[bytes]]]:
    """A server that gives every request this answer, and closes unless it is to stay."""
    requests: list[bytes] = []
    leave = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        if stay:
            await leave.wait()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield AgentGroup(plan(base=f"http://127.0.0.1:{port}/under"), Api("http://x"), "dcw_x"), requests
        leave.set()


def chunked(*parts: bytes, kind: bytes = b"text/event-stream; charset=utf-8") -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + body


async def opened(group: AgentGroup, reader: Reader, *, slow: bool = False, last: str | None = None) -> SseConnection:
    return await open_stream(group, "/v1/spectate/stream?chunk_id=demo", "sess_x", last, reader, slow=slow)


@pytest.mark.parametrize("slow", [False, True])
async def test_a_stream_is_read(slow: bool) -> None:
    reader = Reader()
    async with server(chunked(DELTA[:10], DELTA[10:] + DELTA), stay=True) as (group, requests):
        stream = await opened(group, reader, slow=slow, last="chunk-0:4:0")
        async with asyncio.timeout(5):
            while len(reader.events) < 2:
                await asyncio.sleep(0.001)
        stream.close()
        await stream.ended
    assert reader.events == [PARSED, PARSED]
    assert stream.ours
    head = requests[0].decode()
    assert head.startswith("GET /under/v1/spectate/stream?chunk_id=demo HTTP/1.1\r\n")
    assert "Authorization: Bearer sess_x\r\n" in head
    assert "Last-Event-ID: chunk-0:4:0\r\n" in head
    assert "sess_x" not in head.splitlines()[0]


async def test_an_end_in_order_is_known_from_a_break() -> None:
    for answer, finished in ((chunked(DELTA, b""), True), (chunked(DELTA), False)):
        reader = Reader()
        async with server(answer) as (group, _):
            stream = await opened(group, reader)
            await asyncio.wait_for(stream.ended, 5)
        assert (stream.finished, stream.ours) == (finished, False)
        assert reader.events == [PARSED]


async def test_refusals_have_their_reason() -> None:
    body = b'{"detail":"rate_limited"}'
    answer = b"HTTP/1.1 429 X\r\nRetry-After: 7\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    async with server(answer) as (group, _):
        with pytest.raises(TooManyRequests) as refused:
            await opened(group, Reader())
    assert (refused.value.reason, refused.value.retry_after_s) == ("rate_limited", 7.0)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", ServerUnreachable),
        (b"SSH-2.0-OpenSSH_9\r\n", ProtocolViolation),
        (chunked(b"<html>", kind=b"text/html"), ProtocolViolation),
        (b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n", ApiError),
        (b"HTTP/1.1 200 OK\r\n", ServerUnreachable),
    ],
)
async def test_what_is_no_stream(answer: bytes, error: type[ChunkcrawlError]) -> None:
    group: AgentGroup
    async with server(answer) as (group, _):
        with pytest.raises(error):
            await opened(group, Reader())
    assert group.defect is None


async def test_nobody_listens() -> None:
    group = AgentGroup(plan(base="http://127.0.0.1:1"), Api("http://x"), "dcw_x")
    for slow in (False, True):
        with pytest.raises(ServerUnreachable):
            await opened(group, Reader(), slow=slow)


async def test_a_fault_of_ours_is_kept() -> None:
    class Broken(Reader):
        def event(self, stream: SseConnection, name: bytes, event_id: bytes, data: bytes) -> None:
            raise ZeroDivisionError

    async with server(chunked(DELTA), stay=True) as (group, _):
        stream = await opened(group, Broken())
        async with asyncio.timeout(5):
            while group.defect is None:
                await asyncio.sleep(0.001)
        stream.close()
    assert isinstance(group.defect, ZeroDivisionError)
