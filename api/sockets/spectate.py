"""Watching a chunk, over SSE or a read-only WebSocket (contract, "Watching").

Only ``streaming.watch.Watch`` speaks here, and it can't hold a private event.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, WebSocket
from starlette.responses import Response

from api.accounts.auth import Session, require
from api.chunks import DEMO_CHUNK, FIRST_CHUNK_ID
from api.errors import ApiError
from api.ids import CHUNK_ID_PATTERN, is_chunk_id
from api.responses import refusals
from api.sockets.socket import serve_watcher
from api.sockets.sse import SseResponse
from api.sockets.streams import LastEventId, Streams, new_channel_id, streams_of, trace_of
from streaming.subscriber_queue import WATCHER_CAPACITY, SubscriberQueue
from streaming.watch import Watch

router = APIRouter()
#: Existing pages know this one under /api, too.
aliased = APIRouter()

ChunkIdQuery = Annotated[
    str,
    Query(max_length=64, json_schema_extra={"pattern": CHUNK_ID_PATTERN}, description="`demo` means `chunk-0`."),
]
Spectator = Annotated[Session, Depends(require("spectator"))]


@aliased.get(
    "/v1/spectate/stream",
    response_class=SseResponse,
    status_code=200,  # the response class has none to derive it from
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "The chunk's events."},
        **refusals("invalid_session", "not_local", "invalid_scope", "banned", "chunk_not_found", "draining"),
    },
    tags=["watching"],
)
async def stream(request: Request, chunk_id: ChunkIdQuery, session: Spectator, last_event_id: LastEventId) -> Response:
    """Stream the chunk as it is, then every change, as server-sent events.  `Last-Event-ID` resumes."""
    streams = streams_of(request)
    view = await _view(streams, chunk_id, trace_of(request), last_event_id)
    return SseResponse(view, streams.connections.open("spectator_sse", session, view.queue))


@router.websocket("/v1/spectate/ws")
async def socket(
    websocket: WebSocket,
    chunk_id: ChunkIdQuery,
    session: Spectator,
    last_event_id: Annotated[str | None, Query()] = None,
) -> None:
    """Send the same events in the WebSocket envelope; anything sent closes it."""
    streams = streams_of(websocket)
    view = await _view(streams, chunk_id, trace_of(websocket), last_event_id)
    connection = streams.connections.open("spectator_ws", session, view.queue)
    await serve_watcher(websocket, view, connection)


async def _view(streams: Streams, chunk_id: str, trace_id: str, last_event_id: str | None) -> Watch:
    """Make the view of a chunk.  Raises ``ApiError``: ``chunk_not_found``."""
    wanted = FIRST_CHUNK_ID if chunk_id == DEMO_CHUNK else chunk_id
    if not is_chunk_id(wanted) or await streams.snapshots.get(wanted) is None:
        raise ApiError("chunk_not_found")
    hello: dict[str, object] = {"role": "spectator", "channel_id": new_channel_id()}
    queue = SubscriberQueue(WATCHER_CAPACITY, "drop_and_resync")
    return Watch(streams.hub, streams.redis, streams.snapshots, wanted, queue, trace_id, hello, last_event_id)
