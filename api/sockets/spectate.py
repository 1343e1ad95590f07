"""Watching a chunk, over SSE or a read-only WebSocket (contract, "Watching").

Only ``streaming.watch.Watch`` and ``streaming.rewind.Rewind`` speak here, and they can't hold a private event.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, WebSocket
from starlette.responses import Response

from api.accounts.auth import Session, require
from api.chunks import asked_chunk
from api.errors import ApiError
from api.ids import CHUNK_ID_PATTERN
from api.past.queries import FromTick, Speed
from api.past.routes import is_unknown, tick_of
from api.responses import refusals
from api.services import Services
from api.sockets.socket import serve_watcher
from api.sockets.sse import SseResponse
from api.sockets.streams import LastEventId, Streams, new_channel_id, streams_of, trace_of
from recordings.past_page import NO_END
from streaming.cursor import ChunkCursor
from streaming.playing import PAGE_DELTAS
from streaming.rewind import Rewind
from streaming.subscriber_queue import WATCHER_CAPACITY, SubscriberQueue
from streaming.watch import Watch

router = APIRouter()
#: Existing pages know this one under /api, too.
aliased = APIRouter()

ChunkIdQuery = Annotated[
    str,
    Query(max_length=64, json_schema_extra={"pattern": CHUNK_ID_PATTERN}, description="`demo` means `chunk-0`."),
]
Spectator = Annotated[Session, Depends(require("spectator", operators=True))]


@aliased.get(
    "/v1/spectate/stream",
    response_class=SseResponse,
    status_code=200,  # the response class has none to derive it from
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "The chunk's events."},
        **refusals(
            *("invalid_session", "not_local", "invalid_scope", "banned", "chunk_not_found", "draining"),
            *("rate_limited", "overloaded"),
        ),
    },
    tags=["watching"],
)
async def stream(
    request: Request,
    chunk_id: ChunkIdQuery,
    session: Spectator,
    last_event_id: LastEventId,
    from_tick: FromTick = None,
    speed: Speed = 1.0,
) -> Response:
    """Stream the chunk as it is, then every change, as server-sent events.  `Last-Event-ID` resumes.

    With `from_tick` its past is played from there, at `speed`, and goes on with what happens now; a `playback` event
    says where that is.  At most 16 play at once for a gateway; one more is 503 `overloaded`.
    """
    streams = streams_of(request)
    if from_tick is not None:
        rewind = await _rewind(request, streams, chunk_id, session, last_event_id, from_tick, speed)
        return SseResponse(rewind, streams.connections.open("spectator_sse", session, rewind.queue))
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
    wanted = asked_chunk(chunk_id)
    if await streams.snapshots.get(wanted) is None:
        raise ApiError("chunk_not_found")
    hello: dict[str, object] = {"role": "spectator", "channel_id": new_channel_id()}
    queue = SubscriberQueue(WATCHER_CAPACITY, "drop_and_resync")
    return Watch(streams.hub, streams.redis, streams.snapshots, wanted, queue, trace_id, hello, last_event_id)


async def _rewind(
    request: Request,
    streams: Streams,
    chunk_id: str,
    session: Session,
    last_event_id: str | None,
    from_tick: int,
    speed: float,
) -> Rewind:
    """Make the view of a chunk's past.  Raises ``ApiError``."""
    services: Services = request.app.state.services
    wanted = asked_chunk(chunk_id)
    await services.limits.watching(request, session)
    if services.past.full:
        raise ApiError("overloaded")
    seen = None if last_event_id is None else ChunkCursor.parse(last_event_id)
    upto = seen.at[0] if seen is not None and seen.chunk_id == wanted else None
    first = await tick_of(services.past, wanted, from_tick) if upto is None else upto + 1
    page = await services.past.page(wanted, first, NO_END, PAGE_DELTAS)
    if await is_unknown(services, page):
        raise ApiError("chunk_not_found")
    queue, trace_id = SubscriberQueue(WATCHER_CAPACITY, "drop_and_resync"), trace_of(request)

    def live(at: str | None) -> Watch:
        return Watch(streams.hub, streams.redis, streams.snapshots, wanted, queue, trace_id, None, at)

    hello: dict[str, object] = {"role": "spectator", "channel_id": new_channel_id()}
    hz = services.settings.tick_hz
    return Rewind(services.past, streams.redis, live, queue, page, trace_id, hello, hz=hz, speed=speed, shown_upto=upto)
