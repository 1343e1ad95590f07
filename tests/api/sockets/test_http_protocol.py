"""Requests without end, in pieces, and too many: each is refused by its bound, and others are served meanwhile."""

from __future__ import annotations

import asyncio
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import uvicorn
import uvloop
from websockets.asyncio.client import connect

from api.middleware import BODY_MAX_BYTES
from api.sockets import connection_limits
from api.sockets.connection_limits import Admission, AdmissionRules
from api.sockets.frame_protocol import FrameProtocol
from api.sockets.http_protocol import HEADERS_MOST, PIPELINED_MOST
from api.sockets.listening import shared_socket
from api.sockets.server import AcceptingServer
from api.sockets.sse import ENTER_EXTENSION, STREAM_EXTENSION
from streaming.framing import http_chunk
from streaming.subscriber_queue import SubscriberQueue

RULES = AdmissionRules(connections=40, address_waiting=8, receive_s=0.4, answer_s=0.8)
PLENTY = AdmissionRules(connections=400, address_waiting=100, receive_s=20, answer_s=20)
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


class App:
    """``/`` tells the body's length, ``/early`` does not wait for it, ``/slow`` and ``/stream`` never end.

    ``/chunks`` goes on without its request.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.gone = threading.Event()
        self.took: list[list[bool]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.requests += 1
        if scope["type"] == "websocket":
            await self._socket(receive, send)
        elif scope["path"] == "/early":
            await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
        elif scope["path"] == "/slow":
            while (await receive())["type"] != "http.disconnect":
                pass
            self.gone.set()
        elif scope["path"] == "/stream":
            assert scope["extensions"][ENTER_EXTENSION]()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
                await asyncio.sleep(0.05)
        elif scope["path"] == "/chunks":
            await self._chunks(scope, send)
        else:
            await self._answer(receive, send)

    async def _chunks(self, scope: Any, send: Any) -> None:
        go_on_alone = scope["extensions"][STREAM_EXTENSION]
        assert go_on_alone() is None, "its answer has no head yet"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.05)  # others are pipelined meanwhile
        stream = go_on_alone()
        assert stream is not None
        assert go_on_alone() is None

        async def work() -> None:
            found = [stream.takes(10**6), stream.takes(-1)]
            stream.push(http_chunk(b"one,"))
            await stream.send(b"two,")
            stream.push(http_chunk(b"three"))
            stream.end(whole=True)
            self.took.append([*found, stream.takes(10**6)])

        stream.serve(SubscriberQueue(), work())

    async def _answer(self, receive: Any, send: Any) -> None:
        length, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            length, more = length + len(message["body"]), message["more_body"]
        body = str(length).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _socket(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})


class Served:
    """An app under uvicorn with our protocols."""

    def __init__(self, app: App, admission: Admission, port: int) -> None:
        self.app = app
        self.admission = admission
        self.port = port

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, *pieces: bytes, pause_s: float = 0.0) -> bytes:
        """Send the pieces, as far as they are taken; all that comes back until the server closes."""
        reader, writer = await self.open()
        answer = bytearray()
        reading = asyncio.create_task(_read_into(answer, reader))
        with suppress(OSError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause_s)
                if pause_s and answer:
                    break
        await asyncio.wait_for(reading, 10)
        writer.close()
        return bytes(answer)


async def _read_into(answer: bytearray, reader: asyncio.StreamReader) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            answer += data


@contextmanager
def serve(rules: AdmissionRules) -> Iterator[Served]:
    """On uvloop, as gateways are, in a thread of its own."""
    app, admission = App(), Admission(rules)
    listening = shared_socket("127.0.0.1", 0)
    config = uvicorn.Config(
        app, ws=FrameProtocol, ws_max_size=65_536, lifespan="off", log_config=None, timeout_keep_alive=60
    )
    server = AcceptingServer(config, admission)
    thread = threading.Thread(target=lambda: uvloop.run(server.serve(sockets=[listening])), name="served")
    thread.start()
    try:
        yield Served(app, admission, listening.getsockname()[1])
    finally:
        server.should_exit = server.force_exit = True
        thread.join(30)


@pytest.fixture(scope="module")
def patient() -> Iterator[Served]:
    """Whoever breaks bounds over and over is held (test_new_connection.py); here hardly, for all tests do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection_limits, "HELD_S", 0.02)
        with serve(PLENTY) as running:
            yield running


@pytest.fixture
def served(patient: Served) -> Served:
    patient.app.requests = 0
    return patient


@pytest.fixture
def hasty() -> Iterator[Served]:
    with serve(RULES) as running:
        yield running


def status(answer: bytes) -> bytes:
    return answer[9:12]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


POST_CHUNKS = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("expected", "request_"),
    [
        (b"431", b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + b"a" * 9_000 + b"\r\n\r\n"),
        (b"431", b"GET / HTTP/1.1\r\n" + b"a" * 40_000),
        (b"431", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (HEADERS_MOST + 1) + b"\r\n"),
        (b"431", b"GET / HTTP/1.1\r\n" + b"".join(b"h%d: %s\r\n" % (n, b"x" * 900) for n in range(40)) + b"\r\n"),
        (b"431", HANDSHAKE + b"Cookie: " + b"a" * 9_000 + b"\r\n\r\n"),
        (b"431", b"\r\n" * 20_000),
        (b"414", b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\n\r\n"),
        (b"413", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n"),
        (b"413", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 300_000),
        (b"413", POST_CHUNKS + chunk(b"x" * 60_000) * 5),
        (b"413", POST_CHUNKS + b"1;" + b"x" * 200_000),
        (b"413", POST_CHUNKS + b"0\r\n" + b"trailer: x\r\n" * 20_000),
        (b"400", b"GARBAGE\r\n\r\n"),
        (b"400", b"\x16\x03\x01\x02\x00\x01\x00"),
        (b"400", b"CONNECT nowhere:1 HTTP/1.1\r\nHost: x\r\n\r\n"),
        (b"400", HANDSHAKE.replace(b"GET", b"POST") + b"\r\n"),
        (b"400", HANDSHAKE.replace(b"1.1", b"1.0") + b"\r\n"),
        (b"400", HANDSHAKE.replace(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"") + b"\r\n"),
    ],
)
async def test_what_breaks_a_bound_is_refused_before_the_app_sees_it_whole(
    served: Served, expected: bytes, request_: bytes
) -> None:
    answer = await served.ask(request_)
    assert status(answer) == expected, answer
    assert b"connection: close" in answer.lower()
    assert served.app.requests <= (expected == b"413")


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /" + b"a" * 7_000 + b" HTTP/1.1\r\nHost: x\r\nCookie: " + b"a" * 7_900 + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (HEADERS_MOST - 2),
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n",
    ],
)
async def test_what_is_just_within_the_bounds_is_served(served: Served, request_: bytes) -> None:
    assert status(await served.ask(request_ + b"Connection: close\r\n\r\n")) == b"200"


async def test_a_body_up_to_the_bound_arrives_in_whatever_pieces(served: Served) -> None:
    body = b"x" * BODY_MAX_BYTES
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    whole = await served.ask(head + b"Content-Length: %d\r\n\r\n" % len(body), body)
    chunks = [chunk(body[at : at + 1_000]) for at in range(0, len(body), 1_000)]
    pieces = await served.ask(head + b"Transfer-Encoding: chunked\r\n\r\n", *chunks, b"0\r\n\r\n")
    assert [answer.rpartition(b"\r\n")[2] for answer in (whole,)] == [str(len(body)).encode()]
    assert str(len(body)).encode() in pieces


async def test_100_megabytes_of_one_header_cost_no_memory(served: Served) -> None:
    """... and one who is served beside it waits for nothing."""

    async def endless() -> bytes:
        reader, writer = await served.open()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nCookie: ")
        piece = b"a" * 65_536
        with suppress(OSError):
            for _ in range(1_600):
                writer.write(piece)
                await asyncio.wait_for(writer.drain(), 5)
        with suppress(OSError):
            return await reader.read()
        return b""

    tracemalloc.start()
    attack = asyncio.create_task(endless())
    answered = 0
    async with connect(served.ws) as honest:
        while not attack.done():
            await honest.send("hello")
            assert await honest.recv() == "hello"
            answered += 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answered > 0
    assert peak < 2_000_000, peak
    assert served.app.requests == 1


async def test_requests_on_one_connection_follow_each_other(served: Served) -> None:
    get = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = await served.ask(get, get, last)
    assert answer.count(b"HTTP/1.1 200") == 3
    answer = await served.ask(get * PIPELINED_MOST + last)
    assert answer.count(b"HTTP/1.1 200") == PIPELINED_MOST + 1
    answer = await served.ask(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" + get * 1_000)
    assert answer == b"", "closed, without an answer that could be taken for the first one's"


async def test_an_unknown_upgrade_is_answered_as_a_plain_request(served: Served) -> None:
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n"
    answer = await served.ask(b"GET / HTTP/1.1\r\nHost: x\r\n" + upgrade)
    assert status(answer) == b"200"
    assert b"connection: close" in answer


@pytest.mark.parametrize(
    ("expected", "pieces"),
    [
        (b"408", [b"GET /"] + [b"a"] * 40),
        (b"408", [b"GET / HTTP/1.1\r\n"] + [b"a: b\r\n"] * 40),
        (b"408", [HANDSHAKE] + [b"a: b\r\n"] * 40),
        (b"408", [b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n"] + [b"x"] * 40),
        (b"408", [b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"] + [chunk(b"x")] * 40),
        (b"", []),
    ],
)
async def test_a_request_has_to_arrive_in_time_however_busily_it_trickles(
    hasty: Served, expected: bytes, pieces: list[bytes]
) -> None:
    began = asyncio.get_running_loop().time()
    answer = await hasty.ask(*pieces, pause_s=0.05)
    assert status(answer) == expected, answer
    assert asyncio.get_running_loop().time() - began < 8


async def test_a_second_request_has_a_deadline_too(hasty: Served) -> None:
    answer = await hasty.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT")
    assert answer.count(b"HTTP/1.1 200") == 1
    assert answer.count(b"HTTP/1.1 408") == 1


@pytest.mark.parametrize("rest", [[chunk(b"x")] * 40, [chunk(b"x" * 50_000)] * 8, [b"no chunk"]])
async def test_a_body_that_goes_on_after_its_answer_ends_without_a_second_one(hasty: Served, rest: list[bytes]) -> None:
    head = POST_CHUNKS.replace(b" / ", b" /early ")
    reader, writer = await hasty.open()
    writer.write(head)
    answer = bytearray(await reader.readuntil(b"\r\n\r\n"))
    reading = asyncio.create_task(_read_into(answer, reader))
    for piece in rest:
        writer.write(piece)
        await asyncio.sleep(0.02)
    await asyncio.wait_for(reading, 10)
    writer.close()
    assert answer.count(b"HTTP/1.1") == 1
    assert status(bytes(answer)) == b"401"


async def test_an_answer_that_takes_too_long_ends_and_the_app_is_told(hasty: Served) -> None:
    assert await hasty.ask(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n") == b""
    assert await asyncio.to_thread(hasty.app.gone.wait, 5)


async def test_a_stream_goes_on_alone_and_ends_the_connection(served: Served) -> None:
    one = b"GET /chunks HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = await served.ask(one + one)
    assert answer.endswith(b"\r\n\r\n4\r\none,\r\n4\r\ntwo,\r\n5\r\nthree\r\n0\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200") == 1, "what is pipelined behind an event stream has no answer"
    assert served.app.took == [[True, False, False]]
    await _nothing_left(served)


async def test_sockets_and_streams_outlive_every_deadline_and_every_flood(hasty: Served) -> None:
    reader, writer = await hasty.open()
    writer.write(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    async with connect(hasty.ws) as honest:
        flood = [await hasty.open() for _ in range(60)]
        await asyncio.sleep(2.5)
        await honest.send("still here")
        assert await honest.recv() == "still here"
        assert len(hasty.admission) <= 2
        for _, other in flood:
            other.close()
    assert await reader.readexactly(20)
    writer.close()


async def test_whoever_comes_last_into_a_flood_is_served(served: Served) -> None:
    """The oldest half-open connection makes room."""
    flood = [await served.open() for _ in range(150)]
    ends = [asyncio.create_task(_read_into(bytearray(), reader)) for reader, _ in flood]
    try:
        for _, writer in flood:
            writer.write(b"GET / HTTP/1.1\r\n")
        async with asyncio.timeout(20):
            while sum(end.done() for end in ends) < len(flood) - PLENTY.address_waiting or not _may_make_room(served):
                await asyncio.sleep(0.02)
        assert served.admission.waiting <= PLENTY.address_waiting
        assert status(await served.ask(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")) == b"200"
    finally:
        for _, writer in flood:
            writer.close()
        for end in ends:
            end.cancel()


def _may_make_room(served: Served) -> bool:
    """Whether the oldest half-open connection has been there for long enough, and none is yet to be read."""
    admission = served.admission
    oldest = next(iter(list(admission.receiving)), None)
    age_s = 0.0 if oldest is None else admission._clock() - oldest.since
    return not admission.held and age_s > connection_limits.MAKES_ROOM_AFTER_S


async def _nothing_left(served: Served) -> None:
    async with asyncio.timeout(5):
        while len(served.admission):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("last", [b"", b"GET / HTTP/1.1\r\n", POST_CHUNKS, HANDSHAKE, HANDSHAKE + b"\r\n"])
async def test_whoever_resets_the_connection_leaves_no_place_taken(served: Served, last: bytes) -> None:
    for _ in range(20):
        _, writer = await served.open()
        writer.write(last)
        await asyncio.sleep(0)
        writer.transport.abort()
    await _nothing_left(served)
