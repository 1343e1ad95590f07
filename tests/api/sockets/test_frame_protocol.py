"""Frames past the ASGI calls: their bytes, their order, and what a peer sees that does not answer pings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.frames import Frame, Opcode

from api.sockets.frame_protocol import (
    CLOSE_TOO_BIG,
    CLOSE_TOO_SLOW,
    EXTENSION,
    FRAMES_AT_ONCE,
    FrameProtocol,
    FrameWriter,
    text_frame,
)
from api.sockets.listening import shared_socket


class App:
    """Accepts, says what it is told to, and keeps the writer."""

    def __init__(self) -> None:
        self.writer: FrameWriter | None = None
        self.accepted = asyncio.Event()
        self.done = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket"
        await receive()
        self.writer = scope["extensions"][EXTENSION]
        assert not self.writer.open
        assert not self.writer.write(b"too early")
        await send({"type": "websocket.accept"})
        assert self.writer.write(b"first")
        await send({"type": "websocket.send", "text": "second"})
        assert self.writer.write("third \u00e9".encode())
        self.accepted.set()
        while (await receive())["type"] != "websocket.disconnect":
            pass
        self.done.set()


@pytest.fixture
async def served() -> AsyncIterator[tuple[App, str]]:
    """An app under uvicorn with pings ten times a second."""
    app = App()
    listening = shared_socket("127.0.0.1", 0)
    config = uvicorn.Config(
        app, ws=FrameProtocol, ws_ping_interval=0.1, ws_ping_timeout=0.3, lifespan="off", log_config=None
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0.01)
    yield app, f"ws://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    await serving


async def test_frames_of_both_doors_keep_their_order(served: tuple[App, str]) -> None:
    app, url = served
    async with connect(url) as client:
        assert [await client.recv() for _ in range(3)] == ["first", "second", "third \u00e9"]
    await asyncio.wait_for(app.done.wait(), 5)
    assert app.writer is not None
    assert not app.writer.write(b"too late")


async def test_answered_pings_are_counted(served: tuple[App, str]) -> None:
    app, url = served
    async with connect(url):
        await app.accepted.wait()
        writer = app.writer
        assert writer is not None
        while writer.pongs < 3:
            await asyncio.sleep(0.02)
        assert writer.pings >= writer.pongs


async def test_a_peer_that_answers_no_ping_is_closed(served: tuple[App, str], monkeypatch: pytest.MonkeyPatch) -> None:
    app, url = served
    async with connect(url) as client:
        monkeypatch.setattr(client.protocol, "recv_frame", _without_pongs(client.protocol))
        await asyncio.wait_for(client.wait_closed(), 5)
        assert client.close_code == CLOSE_TOO_SLOW
    await asyncio.wait_for(app.done.wait(), 5)


HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


E = TypeVar("E", bound="Echo")


class Echo:
    """Says every message again."""

    def __init__(self) -> None:
        self.messages = 0
        self.asked = asyncio.Event()
        self.hold = asyncio.Event()
        self.hold.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        self.asked.set()
        await self.hold.wait()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            self.messages += 1
            await send({"type": "websocket.send", "text": message["text"]})


@asynccontextmanager
async def serving(app: E) -> AsyncIterator[tuple[E, int]]:
    """An app under uvicorn, and its port."""
    listening = shared_socket("127.0.0.1", 0)
    config = uvicorn.Config(app, ws=FrameProtocol, ws_max_size=65_536, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0.01)
    yield app, listening.getsockname()[1]
    server.should_exit = True
    await running


@pytest.fixture
async def echo() -> AsyncIterator[tuple[Echo, int]]:
    """An echo under uvicorn."""
    async with serving(Echo()) as served:
        yield served


async def _raw(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """An accepted socket, of which a test writes the bytes itself."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HANDSHAKE)
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def _masked(opcode: Opcode, payload: bytes = b"", *, fin: bool = True) -> bytes:
    return Frame(opcode, payload, fin=fin).serialize(mask=True)


async def test_frames_before_the_handshake_is_accepted_wait_for_it(echo: tuple[Echo, int]) -> None:
    app, port = echo
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    app.hold.clear()
    writer.write(HANDSHAKE)
    await asyncio.wait_for(app.asked.wait(), 5)
    writer.write(_masked(Opcode.PING, b"p") + _masked(Opcode.TEXT, b"early"))
    await asyncio.sleep(0.1)
    app.hold.set()
    await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(3) == Frame(Opcode.PONG, b"p").serialize(mask=False)
    assert await reader.readexactly(7) == text_frame(b"early")
    writer.close()


@pytest.mark.parametrize("payload", [b"", b"x"])
async def test_a_message_in_countless_fragments_ends_the_connection(echo: tuple[Echo, int], payload: bytes) -> None:
    app, port = echo
    reader, writer = await _raw(port)
    writer.write(_masked(Opcode.TEXT, b"a", fin=False) + _masked(Opcode.CONT, payload, fin=False) * 64_000)
    async with asyncio.timeout(30):
        end = await reader.read(200)
    assert end[:4] == bytes((0x88, len(end) - 2)) + CLOSE_TOO_BIG.to_bytes(2, "big")
    assert app.messages == 0
    writer.close()


async def test_frames_beyond_the_bound_wait_and_none_is_lost(
    echo: tuple[Echo, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile another socket is served, and not once for all of them."""
    monkeypatch.setattr("api.sockets.frame_protocol.FRAMES_AT_ONCE", 100)
    monkeypatch.setattr("api.sockets.frame_protocol.FRAMES_PER_S", 2_000.0)
    app, port = echo
    reader, writer = await _raw(port)
    many = 3_000
    writer.write(_masked(Opcode.TEXT, b"m") * many)
    served_beside = 0
    async with connect(f"ws://127.0.0.1:{port}") as honest:
        while app.messages - served_beside < many:
            await honest.send("hello")
            assert await asyncio.wait_for(honest.recv(), 5) == "hello"
            served_beside += 1
    assert served_beside > 10
    assert await reader.readexactly(3 * many) == text_frame(b"m") * many
    writer.close()


async def test_a_peer_that_is_held_back_may_leave(echo: tuple[Echo, int]) -> None:
    app, port = echo
    _, writer = await _raw(port)
    writer.write(_masked(Opcode.PING) * (FRAMES_AT_ONCE + 5_000))
    await asyncio.sleep(0.3)
    writer.transport.abort()
    async with connect(f"ws://127.0.0.1:{port}") as honest:
        await honest.send("hello")
        assert await honest.recv() == "hello"
    assert app.messages == 1


class Taker(Echo):
    """Takes whole messages at once, for as long as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[bytes] = []
        self.received: list[str] = []
        self.takes = True

    def take(self, message: bytes) -> bool:
        if self.takes:
            self.taken.append(message)
        return self.takes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        scope["extensions"][EXTENSION].take_whole(self.take)
        while (message := await receive())["type"] == "websocket.receive":
            self.received.append(message["text"])
            await send({"type": "websocket.send", "text": message["text"]})


@pytest.fixture
async def taker() -> AsyncIterator[tuple[Taker, int]]:
    async with serving(Taker()) as served:
        yield served


async def _answered(reader: asyncio.StreamReader, ping: bytes) -> None:
    """Wait until everything before a ping has been looked at."""
    pong = Frame(Opcode.PONG, ping).serialize(mask=False)
    assert await asyncio.wait_for(reader.readexactly(len(pong)), 10) == pong


async def _said_again(reader: asyncio.StreamReader, text: bytes) -> None:
    assert await asyncio.wait_for(reader.readexactly(len(text_frame(text))), 10) == text_frame(text)


async def test_a_whole_frame_is_handed_over_at_once_and_others_as_ever(taker: tuple[Taker, int]) -> None:
    app, port = taker
    reader, writer = await _raw(port)
    writer.write(_masked(Opcode.TEXT, b"first"))  # the parser has not been seen between two frames before
    await _said_again(reader, b"first")
    writer.write(_masked(Opcode.TEXT, b"whole"))
    await asyncio.wait_for(_until(lambda: app.taken == [b"whole"]), 10)
    writer.write(_masked(Opcode.TEXT, b"half", fin=False))
    writer.write(_masked(Opcode.PING, b"1"))
    await _answered(reader, b"1")
    # Whole by itself, but in the middle of a message: the parser says that this is no protocol.
    writer.write(_masked(Opcode.TEXT, b"other"))
    end = await asyncio.wait_for(reader.read(), 10)
    assert end[:1] == b"\x88"
    assert app.taken == [b"whole"]
    writer.close()


@pytest.mark.parametrize("cut", [1, 2, 4, 6, 8, 150])
async def test_a_frame_that_comes_in_pieces_is_for_the_parser(taker: tuple[Taker, int], cut: int) -> None:
    app, port = taker
    reader, writer = await _raw(port)
    writer.write(_masked(Opcode.PING, b"0"))
    await _answered(reader, b"0")
    data = _masked(Opcode.TEXT, b"x" * 200)
    writer.write(data[:cut])
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.write(data[cut:])
    await _said_again(reader, b"x" * 200)
    assert app.received == ["x" * 200]
    writer.write(_masked(Opcode.TEXT, b"after"))
    await asyncio.wait_for(_until(lambda: app.taken == [b"after"]), 10)
    writer.close()


async def test_a_payload_that_looks_like_a_frame_is_none(taker: tuple[Taker, int]) -> None:
    app, port = taker
    reader, writer = await _raw(port)
    writer.write(_masked(Opcode.PING, b"0"))
    await _answered(reader, b"0")
    inner = _masked(Opcode.TEXT, b"y" * 50)
    # The head alone: the parser has nothing left of it, and waits in the middle of a frame.
    writer.write(bytes((0x81, 0x80 | len(inner))) + bytes(4))
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.write(inner)
    end = await asyncio.wait_for(reader.read(), 10)
    assert end[:1] == b"\x88", "it is no UTF-8"
    assert app.taken == []
    writer.close()


async def test_what_is_not_taken_is_received(taker: tuple[Taker, int]) -> None:
    app, port = taker
    reader, writer = await _raw(port)
    app.takes = False
    for text in (b"1", b"2", b"3"):
        writer.write(_masked(Opcode.TEXT, text))
        await _said_again(reader, text)
    assert (app.taken, app.received) == ([], ["1", "2", "3"])
    writer.close()


async def _until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.005)


def _without_pongs(protocol: Any) -> Any:
    real = protocol.recv_frame

    def recv_frame(frame: Frame) -> None:
        if frame.opcode is not Opcode.PING:
            real(frame)

    return recv_frame
