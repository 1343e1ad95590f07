"""What is left of a connection that has become an event stream."""

from __future__ import annotations

import asyncio
import gc
from typing import cast

import pytest
from redis.asyncio import Redis
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from api.sockets.connection_limits import Admission, Slot
from api.sockets.connections import CLOSE_GONE, CLOSE_RESTART
from api.sockets.event_stream import UNREAD_MOST_BYTES, EventStreamProtocol
from api.sockets.http_protocol import BoundedHttpProtocol
from api.sockets.sse import SseResponse
from streaming.subscriber_queue import SubscriberQueue
from tests.api.gates import DEADLINE_S, PLENTY, Gate
from tests.streaming.writer import ChunkWriter

OF_A_REQUEST = (BoundedHttpProtocol, RequestResponseCycle, SseResponse)


class Transport:
    """A connection that takes whatever it is told to."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.ended = ""
        self.buffered = 0

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return bool(self.ended)

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = self.ended or "aborted"


class Stream:
    """A stream and what it holds on to."""

    def __init__(self) -> None:
        self.admission = Admission(PLENTY)
        slot = self.admission.admit(_Nobody(), "10.0.0.1")
        assert isinstance(slot, Slot)
        slot.enter()
        self.state = ServerState()
        self.transport = Transport()
        self.protocol = EventStreamProtocol(cast("asyncio.Transport", self.transport), slot, self.state, paused=False)
        self.queue = SubscriberQueue()
        self.may_end = asyncio.Event()

    async def work(self) -> None:
        await self.may_end.wait()
        self.protocol.end(whole=True)


class _Nobody:
    def expire(self) -> None: ...

    make_room = go_on = expire


@pytest.fixture
async def stream() -> Stream:
    stream = Stream()
    stream.protocol.serve(stream.queue, stream.work())
    return stream


async def test_a_client_that_is_gone_ends_its_view_and_leaves_its_place(stream: Stream) -> None:
    assert (len(stream.admission), len(stream.state.connections), len(stream.state.tasks)) == (1, 1, 1)
    stream.protocol.connection_lost(None)
    assert (len(stream.admission), len(stream.state.connections)) == (0, 0)
    assert stream.queue.closed is not None
    assert stream.queue.closed.code == CLOSE_GONE
    stream.may_end.set()
    async with asyncio.timeout(DEADLINE_S):
        while stream.state.tasks:
            await asyncio.sleep(0)


async def test_a_server_that_stops_says_so(stream: Stream) -> None:
    stream.protocol.shutdown()
    assert stream.queue.closed is not None
    assert stream.queue.closed.code == CLOSE_RESTART
    stream.may_end.set()


async def test_a_block_waits_for_room_and_for_nothing_when_the_client_is_gone(stream: Stream) -> None:
    protocol = stream.protocol
    protocol.pause_writing()
    sending = asyncio.create_task(protocol.send(b"one"))
    await asyncio.sleep(0.01)
    assert stream.transport.written == []
    protocol.resume_writing()
    await asyncio.wait_for(sending, DEADLINE_S)
    assert stream.transport.written == [b"3\r\none\r\n"]
    protocol.pause_writing()
    sending = asyncio.create_task(protocol.send(b"two"))
    await asyncio.sleep(0.01)
    stream.transport.abort()
    protocol.connection_lost(None)
    await asyncio.wait_for(sending, DEADLINE_S)
    assert len(stream.transport.written) == 1
    stream.may_end.set()


async def test_what_a_client_says_is_left_unread_up_to_a_bound(stream: Stream) -> None:
    for _ in range(UNREAD_MOST_BYTES // 1024):
        stream.protocol.data_received(b"x" * 1024)
    before = stream.transport.ended
    stream.protocol.data_received(b"x")
    assert (before, stream.transport.ended) == ("", "aborted")
    stream.may_end.set()


@pytest.mark.parametrize(("whole", "ended", "written"), [(True, "closed", [b"0\r\n\r\n"]), (False, "aborted", [])])
async def test_it_ends_in_order_or_is_cut_off(stream: Stream, whole: bool, ended: str, written: list[bytes]) -> None:
    stream.protocol.end(whole=whole)
    assert (stream.transport.ended, stream.transport.written) == (ended, written)
    stream.may_end.set()


def alive(*kinds: type) -> list[object]:
    return [one for one in gc.get_objects() if isinstance(one, kinds)]


def held(strangers: list[object]) -> list[str]:
    """What is left of requests, and by what: connections of other tests are none of ours."""
    known = {id(one) for one in strangers}
    return [
        f"{type(one).__name__} by {[type(holder).__name__ for holder in gc.get_referrers(one)]}"
        for one in alive(*OF_A_REQUEST)
        if id(one) not in known
    ]


@pytest.mark.services
async def test_of_the_request_nothing_is_left_and_no_collection_is_needed(gate: Gate, redis: Redis) -> None:
    chunk = ChunkWriter(redis)
    await chunk.create()
    await chunk.tick()
    gc.collect()
    strangers = alive(*OF_A_REQUEST)
    gc.disable()
    try:
        async with gate.sse("/v1/spectate/stream?chunk_id=chunk-0", await gate.token("spectator")) as reader:
            assert [event.kind for event in await reader.take(3)] == ["session_ready", "chunk_static", "chunk_delta"]
            assert len(alive(EventStreamProtocol)) == 1
            until = asyncio.get_running_loop().time() + DEADLINE_S
            while (left := held(strangers)) and asyncio.get_running_loop().time() < until:
                await asyncio.sleep(0.01)  # the app may not have returned yet
            assert left == []
            await chunk.tick()
            assert len(await reader.take(1)) == 1
    finally:
        gc.enable()
    await gate.idle()
