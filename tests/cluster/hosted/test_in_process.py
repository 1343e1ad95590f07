from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from cluster.hosted.in_process import WAITING_MAX, InProcessSocket, ModelPeer, in_process_api, open_socket

PEER = ModelPeer({"type": "http", "client": ("192.0.2.7", 5), "headers": [(b"x-forwarded-for", b"198.51.100.1")]})


async def opened(app: Any) -> InProcessSocket:
    return await open_socket(app, PEER, "ws://in-process/v1/agent/ws?agent_id=a", {"Authorization": "Bearer x"})


async def test_frames_go_both_ways_and_the_app_sees_the_models_address() -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"] + "!"})
        seen["end"] = message["code"]

    socket = await opened(app)
    await socket.send("hi")
    assert await socket.recv() == b"hi!"
    await socket.close()
    assert (seen["client"], seen["path"], seen["end"]) == (("192.0.2.7", 5), "/v1/agent/ws", 1000)
    assert (b"authorization", b"Bearer x") in seen["headers"]
    assert (b"x-forwarded-for", b"198.51.100.1") in seen["headers"]
    with pytest.raises(ConnectionClosed):
        await socket.recv()
    with pytest.raises(ConnectionClosed):
        await socket.send("too late")


async def test_a_refusal_is_the_answer_that_a_client_would_have() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        head = [(b"retry-after", b"3")]
        await send({"type": "websocket.http.response.start", "status": 503, "headers": head})
        await send({"type": "websocket.http.response.body", "body": b'{"detail":"draining"}'})

    with pytest.raises(InvalidStatus) as refused:
        await opened(app)
    answer = refused.value.response
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert answer.body == b'{"detail":"draining"}'


async def test_a_close_of_the_app_has_its_code_and_what_was_sent_before_arrives() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "last"})
        await send({"type": "websocket.close", "code": 4001, "reason": "taken_over"})

    socket = await opened(app)
    assert await socket.recv() == b"last"
    with pytest.raises(ConnectionClosed):
        await socket.recv()
    assert (socket.close_code, socket.close_reason) == (4001, "taken_over")


async def test_who_does_not_read_holds_the_app_up() -> None:
    sent = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await send({"type": "websocket.send", "text": "x"})
            sent += 1

    socket = await opened(app)
    await asyncio.sleep(0.05)
    assert sent == WAITING_MAX
    assert await socket.recv() == b"x"
    socket.transport.abort()
    socket._serving.cancel()


async def test_an_app_that_fails_closes() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})

    socket = await opened(app)
    with pytest.raises(ConnectionClosed):
        await socket.recv()
    assert socket.close_code == 1006


async def test_http_goes_to_the_app_too() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(scope["client"][0]).encode()})

    api = in_process_api(app, PEER)
    assert (await api.http.get("/x")).text == "192.0.2.7"
    assert isinstance(api.http, httpx.AsyncClient)
    await api.http.aclose()
