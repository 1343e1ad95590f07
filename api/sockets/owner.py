"""Following one's own agent from chunk to chunk, over SSE or a read-only WebSocket (contract, "Watching")."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, WebSocket
from starlette.responses import Response

from api.accounts.auth import Session, check_agent, require
from api.ids import AGENT_ID_PATTERN
from api.past.agent_stream import agent_rewind
from api.past.queries import FromTick, Speed
from api.responses import refusals
from api.sockets.socket import serve_watcher
from api.sockets.sse import SseResponse
from api.sockets.streams import LastEventId, Streams, new_channel_id, streams_of, trace_of
from streaming.cursor import PlayedPlace, Position
from streaming.follow import Follow
from streaming.subscriber_queue import FOLLOWER_CAPACITY, SubscriberQueue

router = APIRouter()

AgentIdQuery = Annotated[str, Query(max_length=128, pattern=AGENT_ID_PATTERN)]
Owner = Annotated[Session, Depends(require("owner_spectator"))]


@router.get(
    "/v1/owner/stream",
    response_class=SseResponse,
    status_code=200,  # the response class has none to derive it from
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "The agent's events."},
        **refusals(
            *("invalid_session", "invalid_scope", "banned", "agent_mismatch", "draining"),
            *("rate_limited", "overloaded"),
        ),
    },
    tags=["watching"],
)
async def stream(
    request: Request,
    agent_id: AgentIdQuery,
    session: Owner,
    last_event_id: LastEventId,
    from_tick: FromTick = None,
    speed: Speed = 1.0,
) -> Response:
    """Stream what the agent does and sees as server-sent events; `Last-Event-ID` resumes, also over chunk changes.

    With `from_tick` its past is played from there, at `speed`, over all its chunks and with its own events (challenges
    aside, which nobody keeps), and goes on with what happens now; a `playback` event says where that is.  At most 16
    play at once for a gateway; one more is 503 `overloaded`.
    """
    check_agent(session, agent_id)
    streams, trace_id = streams_of(request), trace_of(request)
    is_live = last_event_id is not None and Position.parse(last_event_id) is not None
    if from_tick is None or is_live:
        view = _view(streams, agent_id, trace_id, last_event_id)
        return SseResponse(view, streams.connections.open("owner_sse", session, view.queue))
    queue, hello = SubscriberQueue(FOLLOWER_CAPACITY, "overflow_close"), _hello(agent_id)
    rewind = await agent_rewind(
        request,
        session,
        agent_id,
        None if last_event_id is None else PlayedPlace.parse(last_event_id),
        from_tick,
        speed,
        live=lambda at: _follow(streams, agent_id, queue, trace_id, hello, at),
        queue=queue,
        trace_id=trace_id,
        hello=hello,
    )
    return SseResponse(rewind, streams.connections.open("owner_sse", session, queue))


@router.websocket("/v1/owner/ws")
async def socket(
    websocket: WebSocket,
    agent_id: AgentIdQuery,
    session: Owner,
    last_event_id: Annotated[str | None, Query()] = None,
) -> None:
    """Send the same events in the WebSocket envelope; anything sent closes it."""
    check_agent(session, agent_id)
    streams = streams_of(websocket)
    view = _view(streams, agent_id, trace_of(websocket), last_event_id)
    connection = streams.connections.open("owner_ws", session, view.queue)
    await serve_watcher(websocket, view, connection)


def _view(streams: Streams, agent_id: str, trace_id: str, last_event_id: str | None) -> Follow:
    queue = SubscriberQueue(FOLLOWER_CAPACITY, "overflow_close")
    return _follow(streams, agent_id, queue, trace_id, _hello(agent_id), last_event_id)


def _hello(agent_id: str) -> dict[str, object]:
    return {"agent_id": agent_id, "role": "owner_spectator", "channel_id": new_channel_id()}


def _follow(
    streams: Streams,
    agent_id: str,
    queue: SubscriberQueue,
    trace_id: str,
    hello: dict[str, object],
    last_event_id: str | None,
) -> Follow:
    return Follow(
        streams.hub,
        streams.redis,
        streams.snapshots,
        agent_id,
        queue,
        trace_id,
        hello,
        last_event_id=last_event_id,
        records=streams.records,
    )
