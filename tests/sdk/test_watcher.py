"""``Watcher`` against scripted streams: resume, repeats, resync, the end, sessions."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from chunkcrawl import Watcher
from chunkcrawl.errors import (
    ChunkGone,
    Forbidden,
    InvalidSession,
    NotFound,
    NotReady,
    ProtocolViolation,
    ServerUnreachable,
)
from chunkcrawl.transport.http import Api, Session
from chunkcrawl.wire.messages import ChunkDelta, Event, PlaybackState
from tests.sdk.builders import delta, static


def sse(kind: str, payload: dict[str, Any], event_id: str | None = None) -> bytes:
    data = json.dumps({"type": kind, "trace_id": "t", "server_ts_ms": 1} | payload)
    identity = f"id: {event_id}\n" if event_id else ""
    return f"{identity}event: {kind}\ndata: {data}\n\n".encode()


READY = sse("session_ready", {"role": "spectator", "chunk_id": "chunk-0", "channel_id": "c"})
STATIC = sse("chunk_static", static())
CLOSED = sse("chunk_closed", {"chunk_id": "chunk-0"})


def tick(number: int) -> bytes:
    return sse("chunk_delta", delta(number, ("a", 1, 1)), f"chunk-0:{number}:0")


class Body(httpx.AsyncByteStream):
    """The bytes of one connection; ``cut``: the line breaks after them."""

    def __init__(self, *pieces: bytes, cut: bool = False) -> None:
        self.pieces, self.cut = pieces, cut

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece
        if self.cut:
            raise httpx.ReadError("cut")


class Script:
    """A server that gives one body after the other."""

    def __init__(self, *bodies: Body | int) -> None:
        self.bodies = list(bodies)
        self.asked: list[str | None] = []
        self.sessions = 0
        self.paths: list[str] = []

    async def handle(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self.sessions += 1
            self.paths.append(request.url.path)
            return httpx.Response(200, json={"session_token": f"sess_{self.sessions}", "session_jti": "j"})
        self.asked.append(request.headers.get("last-event-id"))
        body = self.bodies.pop(0)
        if isinstance(body, int):
            return httpx.Response(body, json={"detail": "chunk_not_found" if body == 404 else "no"})
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=body)

    def api(self) -> Api:
        return Api("http://test", http=httpx.AsyncClient(transport=httpx.MockTransport(self.handle)))


class Quick(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return a


async def watched(script: Script, **more: Any) -> tuple[Watcher, list[Event]]:
    watcher = Watcher.chunk("http://test", "chunk-0", api=script.api(), rng=Quick(), **more)
    events: list[Event] = []
    async with watcher:
        with contextlib.suppress(ChunkGone):
            async for event in watcher.events():
                events.append(event)  # noqa: PERF401 - what came before the end is wanted too
    return watcher, events


async def test_a_stream_is_seen_until_the_chunk_closes() -> None:
    script = Script(Body(READY, STATIC, tick(1), tick(2), CLOSED))
    watcher, events = await watched(script, api_key="k")
    kinds = ["session_ready", "chunk_static", "chunk_delta", "chunk_delta", "chunk_closed"]
    assert [event.type for event in events] == kinds
    assert (watcher.view.tick, watcher.connections, watcher.last_event_id) == (2, 1, "chunk-0:2:0")


@pytest.mark.parametrize(
    "script",
    [
        Script(Body(READY, STATIC, tick(1), CLOSED)),
        Script(Body(READY, CLOSED)),
        Script(Body(READY, STATIC, tick(1), cut=True), 404),
    ],
)
async def test_a_chunk_that_is_gone_is_told_as_that(script: Script) -> None:
    watcher = Watcher.chunk("http://test", "chunk-0", api_key="k", api=script.api(), rng=Quick())
    async with watcher:
        with pytest.raises(ChunkGone, match="chunk-0 is gone.* new id") as caught:
            async for _ in watcher.events():
                pass
    assert caught.value.chunk_id == "chunk-0"


async def test_a_server_that_stays_away_is_given_up() -> None:
    script = Script(Body(READY, STATIC, tick(1), cut=True), *[503] * 1_000)
    watcher = Watcher.chunk("http://test", "chunk-0", api_key="k", api=script.api(), rng=Quick(), away_timeout_s=0.05)
    async with watcher, asyncio.timeout(10):
        with pytest.raises(NotReady):
            async for _ in watcher.events():
                pass


@pytest.mark.parametrize("cut", [True, False])
async def test_it_resumes_where_it_was_and_shows_nothing_twice(cut: bool) -> None:
    script = Script(Body(READY, STATIC, tick(1), tick(2), cut=cut), Body(tick(2), tick(3), CLOSED))
    watcher, events = await watched(script, api_key="k")
    assert script.asked == [None, "chunk-0:2:0"]
    assert [event.tick for event in events if isinstance(event, ChunkDelta)] == [1, 2, 3]
    assert (watcher.connections, script.sessions) == (2, 1)


async def test_an_event_half_arrived_is_not_the_place_to_resume_from() -> None:
    script = Script(Body(READY, STATIC, tick(1), tick(2)[:-1], cut=True), Body(tick(2), CLOSED))
    _, events = await watched(script, api_key="k")
    assert script.asked == [None, "chunk-0:1:0"]
    assert [event.tick for event in events if isinstance(event, ChunkDelta)] == [1, 2]


async def test_after_a_resync_the_state_is_the_present_whatever_its_tick() -> None:
    resync = sse("resync_required", {"chunk_id": "chunk-0", "snapshot_url": "/v1/chunks/chunk-0/snapshot"})
    script = Script(Body(READY, STATIC, tick(50), cut=True), Body(READY, resync, STATIC, tick(7), CLOSED))
    watcher, events = await watched(script, api_key="k")
    assert "resync_required" in [event.type for event in events]
    assert watcher.view.tick == 7


async def test_heartbeats_have_no_id_of_their_own() -> None:
    script = Script(Body(READY, STATIC, tick(1), sse("heartbeat", {}), sse("heartbeat", {}), CLOSED))
    _, events = await watched(script, api_key="k")
    assert [event.event_id for event in events if event.type == "heartbeat"] == ["", ""]


async def test_odd_events_are_counted_or_passed_on_but_stop_nothing() -> None:
    odd = b"event: chunk_delta\ndata: {not json\n\n"
    script = Script(Body(READY, STATIC, odd, sse("weather", {"rain": True}), tick(1), CLOSED))
    watcher, events = await watched(script, api_key="k")
    assert watcher.unusable_events == 1
    assert [event.type for event in events][2:4] == ["weather", "chunk_delta"]


async def test_a_dead_session_is_replaced_and_a_bad_key_is_told() -> None:
    script = Script(Body(READY, STATIC, tick(1), cut=True), 401, Body(tick(2), CLOSED))
    await watched(script, api_key="k")
    assert script.sessions == 2
    with pytest.raises(InvalidSession):
        await watched(Script(401, 401, 401, 401), api_key="k")


@pytest.mark.parametrize(("status", "error"), [(403, Forbidden), (404, NotFound)])
async def test_refusals_for_good_are_raised(status: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        await watched(Script(status), api_key="k")


async def test_a_server_that_is_not_ready_is_asked_again() -> None:
    script = Script(503, 429, Body(READY, CLOSED))
    watcher, _ = await watched(script, api_key="k")
    assert (len(script.asked), watcher.connections) == (3, 1)


async def test_nobody_there_is_told_after_the_given_time_but_only_at_first() -> None:
    def nobody(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    api = Api("http://test", http=httpx.AsyncClient(transport=httpx.MockTransport(nobody)))
    watcher = Watcher.chunk("http://test", api_key="k", api=api, rng=Quick(), open_timeout_s=0.0)
    with pytest.raises(ServerUnreachable):
        await anext(watcher.events())


async def test_the_servers_retry_hint_is_heeded_within_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        if seconds < 100:  # not the keeper's, which waits for the session's end
            slept.append(seconds)

    monkeypatch.setattr("chunkcrawl.watcher.asyncio.sleep", sleep)
    script = Script(Body(b"retry: 1500\n\n", READY), Body(b"retry: 99999999\n\n", READY), Body(CLOSED))
    await watched(script, api_key="k")
    assert slept == [1.5, 60.0]


async def test_a_page_in_place_of_a_stream_is_told() -> None:
    class Page(Script):
        async def handle(self, request: httpx.Request) -> httpx.Response:
            if request.method == "POST":
                return await super().handle(request)
            return httpx.Response(200, headers={"content-type": "text/html"}, stream=Body(b"<html>"))

    with pytest.raises(ProtocolViolation):
        await watched(Page(), api_key="k")


async def test_without_a_key_a_development_session_is_asked_for() -> None:
    script = Script(Body(READY, CLOSED))
    await watched(script)
    assert script.paths == ["/v1/dev/spectator-session"]


async def test_an_owner_follows_over_chunks_and_closed_chunks_do_not_end_it() -> None:
    moved = {"agent_id": "a", "from_chunk_id": "chunk-0", "to_chunk_id": "chunk-1", "tick": 2}
    cells = {"from": {"x": 0, "y": 2}, "to": {"x": 4, "y": 2}}
    there = delta(2, ("a", 4, 2), chunk_id="chunk-1")
    script = Script(
        Body(
            READY,
            STATIC,
            tick(1),
            sse("chunk_transition", moved | cells | {"payload": moved | cells}, "chunk-1:2:0:5"),
            sse("chunk_static", static("chunk-1")),
            sse("chunk_delta", there, "chunk-1:2:0:5"),
            cut=True,
        ),
        403,
    )
    watcher = Watcher.owner("http://test", "a", api_key="k", api=script.api(), rng=Quick())
    async with watcher:
        with pytest.raises(Forbidden):
            async for _ in watcher.events():
                pass
    assert (watcher.view.chunk_id, watcher.view.position) == ("chunk-1", (4, 2))
    assert script.asked == [None, "chunk-1:2:0:5"]


async def test_leaving_early_closes_the_stream() -> None:
    class Kept(Body):
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    body = Kept(READY, STATIC, tick(1), tick(2))
    watcher = Watcher.chunk("http://test", "chunk-0", api_key="k", api=Script(body).api(), rng=Quick())
    async with watcher:
        events = watcher.events()
        assert (await anext(events)).type == "session_ready"
        await events.aclose()
    assert body.closed


async def test_from_a_moment_of_the_past_on() -> None:
    asked: list[str] = []

    async def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path.decode())
        return httpx.Response(404, json={"detail": "chunk_not_found"})

    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    session = Session("sess_1", "jti_1", "spectator")
    api = Api("http://test", http=httpx.AsyncClient(transport=httpx.MockTransport(handle)))
    for watcher in (
        Watcher.chunk("http://test", "chunk-7", api=api, session=session, from_tick=5, speed=8),
        Watcher.owner("http://test", "ada", api=api, session=session, from_tick=at, speed=0.5),
        Watcher.owner("http://test", "ada", api=api, session=session, from_tick=at.replace(tzinfo=None)),
        Watcher.chunk("http://test", "chunk-7", api=api, session=session, speed=8),
    ):
        with pytest.raises(NotFound):
            async for _ in watcher.events():
                pass
    assert asked == [
        "/v1/spectate/stream?chunk_id=chunk-7&from_tick=5&speed=8",
        "/v1/owner/stream?agent_id=ada&from_tick=1772366400000&speed=0.5",
        "/v1/owner/stream?agent_id=ada&from_tick=1772366400000&speed=1",
        "/v1/spectate/stream?chunk_id=chunk-7",
    ]


async def test_where_the_playing_is_comes_as_an_event() -> None:
    told = sse(
        "playback", {"chunk_id": "chunk-0", "state": "gap", "tick": 9, "speed": 8.0, "from_tick": 5, "to_tick": 8}
    )
    script = Script(Body(READY, told, STATIC, tick(9)))
    events = [event async for event in _until_delta(script)]
    playback = next(event for event in events if isinstance(event, PlaybackState))
    assert (playback.state, playback.tick, playback.from_tick, playback.to_tick) == ("gap", 9, 5, 8)


async def _until_delta(script: Script) -> AsyncIterator[Event]:
    watcher = Watcher.chunk("http://test", api=script.api(), from_tick=1)
    async with contextlib.aclosing(watcher.events()) as events:
        async for event in events:
            yield event
            if isinstance(event, ChunkDelta):
                return
