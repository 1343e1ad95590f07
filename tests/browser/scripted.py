"""The page before a server that says exactly what a test tells it to: no world, no database, the real page."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.responses import JSONResponse, StreamingResponse

from api import sdk_files, watch_page
from tests.browser.scripted_past import ScriptedPast

CELLS = 50
#: A session lasts longer than any test.
SESSION_S = 900


def terrain(*, open_sides: str = "NESW") -> list[str]:
    """A hall in the middle, and corridors to the given sides; row 0 is the south."""
    rows = [["#"] * CELLS for _ in range(CELLS)]
    for y in range(CELLS):
        for x in range(CELLS):
            hall = (x - 24.5) ** 2 + (y - 24.5) ** 2 <= 144
            ways = {"N": y > 24 and 23 <= x <= 26, "S": y < 25 and 23 <= x <= 26}
            ways |= {"E": x > 24 and 23 <= y <= 26, "W": x < 25 and 23 <= y <= 26}
            if hall or any(ways[side] for side in open_sides):
                rows[y][x] = "."
    return ["".join(row) for row in rows]


def gold(node_id: str, x: int, y: int, most: int = 20) -> dict[str, Any]:
    return {"node_id": node_id, "type": "gold", "x": x, "y": y, "max_remaining": most}


class ScriptedServer:
    """What the page asks for, and what it is sent."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.base = ""
        #: The ``chunk_static`` of each chunk there is, by id; any other is ``chunk_not_found``.
        self.chunks: dict[str, dict[str, Any]] = {}
        #: The newest ``chunk_delta`` of each, sent to whoever comes.
        self.deltas: dict[str, dict[str, Any]] = {}
        self.homes: dict[str, str] = {}
        #: The reason with which an owner's session for these agents is refused, by agent id.
        self.agents_refused: dict[str, str] = {}
        #: ``Last-Event-ID`` of each stream, in order.
        self.resumed: list[str | None] = []
        #: What can be looked back at, by chunk.
        self.past: dict[str, ScriptedPast] = {}
        #: The `Authorization` of each stream of a chunk, in order.
        self.watched_with: list[str | None] = []
        #: Whether it has no development routes and lets nobody watch who has no token.
        self.closed = False
        self.away = False
        self._streams: dict[str, set[asyncio.Queue[bytes | None]]] = {}

    # -- what a test does --

    def add_chunk(
        self, chunk_id: str, *nodes: dict[str, Any], open_sides: str = "NESW", **neighbors: str | None
    ) -> None:
        sides = {"N": None, "E": None, "S": None, "W": None} | neighbors
        rows = terrain(open_sides=open_sides)
        static = {"chunk_id": chunk_id, "tiles": rows, "resource_nodes": list(nodes), "neighbors": sides}
        self.chunks[chunk_id] = static

    def delta(
        self,
        chunk_id: str,
        tick: int,
        agents: list[dict[str, Any]] | None = None,
        events: list[dict[str, Any]] | None = None,
        **more: Any,
    ) -> None:
        """The chunk as it is at a tick; agents that are not given stay as they were."""
        before = self.deltas.get(chunk_id, {"agents": [], "npcs": [], "resources": []})
        now = before | {"chunk_id": chunk_id, "tick": tick, "events": events or []} | more
        if agents is not None:
            now["agents"] = agents
        self.deltas[chunk_id] = stamped(now)
        self.send(chunk_id, "chunk_delta", self.deltas[chunk_id], event_id=f"{chunk_id}:{tick}:0")

    def send(self, whom: str, kind: str, fields: dict[str, Any], event_id: str = "") -> None:
        """An event to all who watch a chunk, or who follow an agent (``agent NAME``)."""
        for queue in self._streams.get(whom, ()):
            queue.put_nowait(sse(kind, fields, event_id))

    def cut(self, whom: str) -> None:
        """End all streams of a chunk or an agent."""
        for queue in self._streams.get(whom, ()):
            queue.put_nowait(None)

    def watching(self, whom: str) -> int:
        """How many streams of a chunk or an agent are open."""
        return len(self._streams.get(whom, ()))

    # -- what the page asks for --

    def app(self) -> FastAPI:
        inner = FastAPI()
        self.add_routes(inner)
        if not self.prefix:
            return inner
        outer = FastAPI()
        outer.mount(self.prefix, inner)
        return outer

    def add_routes(self, inner: FastAPI) -> None:
        inner.include_router(watch_page.router)
        inner.include_router(sdk_files.router)
        inner.add_api_route("/v1/dev/spectator-session", self._session, methods=["POST"])
        inner.add_api_route("/v1/dev/owner-session", self._owner_session, methods=["POST"])
        inner.add_api_route("/v1/chunks", self._listed)
        inner.add_api_route("/v1/spectate/stream", self._spectate)
        inner.add_api_route("/v1/chunks/{chunk_id}/history", self._history)
        inner.add_api_route("/v1/chunks/{chunk_id}/timeline", self._timeline)
        inner.add_api_route("/v1/owner/stream", self._own)

    async def _session(self) -> Response:
        token = {"session_token": "sess_scripted", "expires_at": time.time() + SESSION_S}
        if self.closed:
            return refusal(403, "dev_routes_disabled")
        return refusal(503, "unavailable") if self.away else JSONResponse(token)

    async def _owner_session(self, request: Request) -> Response:
        reason = self.agents_refused.get((await request.json())["agent_id"])
        return refusal(403, reason) if reason else await self._session()

    async def _listed(self) -> Response:
        listed = [
            {
                "chunk_id": chunk_id,
                "agents": len(self.deltas.get(chunk_id, {}).get("agents", [])),
                "neighbors": static["neighbors"],
            }
            for chunk_id, static in self.chunks.items()
        ]
        return JSONResponse({"chunks": listed, "total": len(listed)})

    async def _spectate(self, request: Request, chunk_id: str) -> Response:
        chunk_id = "chunk-0" if chunk_id == "demo" else chunk_id
        if self.away:
            return refusal(503, "unavailable")
        if chunk_id not in self.chunks:
            return refusal(404, "chunk_not_found")
        self.watched_with.append(request.headers.get("authorization"))
        self.resumed.append(request.headers.get("last-event-id"))
        hello = {"role": "spectator", "chunk_id": chunk_id}
        if "from_tick" in request.query_params:
            first, speed = int(request.query_params["from_tick"]), float(request.query_params["speed"])
            self.past[chunk_id].played.append((first, speed))
            return StreamingResponse(self._replayed(chunk_id, first, hello), media_type="text/event-stream")
        return StreamingResponse(self._stream(chunk_id, chunk_id, hello), media_type="text/event-stream")

    async def _timeline(self, request: Request, chunk_id: str) -> Response:
        past = self.past.get(chunk_id)
        if past is None:
            past = ScriptedPast({"chunk_id": chunk_id}, 0, oldest=None)
        query = request.query_params
        return JSONResponse(past.timeline(int(query.get("from", 0)), int(query.get("to", 10**14))))

    async def _history(self, request: Request, chunk_id: str) -> Response:
        past = self.past.get(chunk_id)
        if past is None:
            return refusal(404, "chunk_not_found")
        query = request.query_params
        first, last, limit = int(query["from"]), int(query["to"]), int(query["limit"])
        past.asked.append((first, last))
        if past.refuses:
            return refusal(past.refuses.pop(0), "overloaded")
        await past.go.wait()
        return JSONResponse(past.page(first, last, limit))

    async def _replayed(self, chunk_id: str, first: int, hello: dict[str, Any]) -> AsyncGenerator[bytes, None]:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._streams.setdefault(chunk_id, set()).add(queue)
        try:
            yield b"retry: 50\n\n" + sse("session_ready", hello)
            async for kind, fields, event_id in self.past[chunk_id].playback(first):
                yield sse(kind, fields, event_id)
            while (item := await queue.get()) is not None:
                yield item
        finally:
            self._streams[chunk_id].discard(queue)

    async def _own(self, request: Request, agent_id: str) -> Response:
        self.resumed.append(request.headers.get("last-event-id"))
        chunk_id = self.homes.get(agent_id)
        hello = {
            "role": "owner_spectator",
            "agent_id": agent_id,
            "chunk_id": chunk_id,
            "agent_online": chunk_id is not None,
            "inventory": {"gold": 7},
        }
        return StreamingResponse(self._stream(f"agent {agent_id}", chunk_id, hello), media_type="text/event-stream")

    async def _stream(self, whom: str, chunk_id: str | None, hello: dict[str, Any]) -> AsyncGenerator[bytes, None]:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._streams.setdefault(whom, set()).add(queue)
        try:
            yield b"retry: 50\n\n" + sse("session_ready", hello)
            if chunk_id is not None:
                yield sse("chunk_static", self.chunks[chunk_id])
                if chunk_id in self.deltas:
                    latest = self.deltas[chunk_id]
                    yield sse("chunk_delta", latest, f"{chunk_id}:{latest['tick']}:0")
            while (item := await queue.get()) is not None:
                yield item
        finally:
            self._streams[whom].discard(queue)


def agent(agent_id: str, x: int, y: int, name: str | None = None, activity: str = "idle") -> dict[str, Any]:
    seat = {"id": agent_id, "x": x, "y": y, "activity_state": activity}
    return seat | ({"name": name} if name is not None else {})


def stamped(fields: dict[str, Any]) -> dict[str, Any]:
    return {"server_ts_ms": int(time.time() * 1000)} | fields


def sse(kind: str, fields: dict[str, Any], event_id: str = "") -> bytes:
    data = json.dumps(stamped({"type": kind, "trace_id": "t"} | fields))
    return (f"id: {event_id}\n" if event_id else "").encode() + f"event: {kind}\ndata: {data}\n\n".encode()


def refusal(status: int, reason: str) -> Response:
    return JSONResponse({"detail": reason}, status_code=status)


@asynccontextmanager
async def scripted(prefix: str = "") -> AsyncIterator[ScriptedServer]:
    """A scripted server that listens, behind a path prefix if one is given."""
    script = ScriptedServer(prefix)
    async with listening(script.app()) as base:
        script.base = f"{base}{prefix}"
        yield script


@asynccontextmanager
async def listening(app: FastAPI) -> AsyncIterator[str]:
    """An app that listens on a free port of this machine; gives its address."""
    taken = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=0))
    serving = asyncio.create_task(server.serve(sockets=[taken]))
    try:
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
