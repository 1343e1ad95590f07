"""Following one's own agent from chunk to chunk, over SSE or a read-only WebSocket (contract, "Watching")."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, WebSocket
from starlette.responses import Response

from api.accounts.auth import Session, check_agent, require
from api.ids import AGENT_ID_PATTERN
from api.responses import refusals
from api.sockets.socket import serve_watcher
from api.sockets.sse import SseResponse
from api.sockets.streams import LastEventId, Streams, new_channel_id, streams_of, trace_of
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
        **refusals("invalid_session", "invalid_scope", "banned", "agent_mismatch", "draining"),
    },
    tags=["watching"],
)
async def stream(request: Request, agent_id: AgentIdQuery, session: Owner, last_event_id: LastEventId) -> Response:
    """Stream what the agent does and sees as server-sent events; `Last-Event-ID` resumes, also over chunk changes."""
    check_agent(session, agent_id)
    streams = streams_of(request)
    view = _view(streams, agent_id, trace_of(request), last_event_id)
    return SseResponse(view, streams.connections.open("owner_sse", session, view.queue))


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
    hello: dict[str, object] = {"agent_id": agent_id, "role": "owner_spectator", "channel_id": new_channel_id()}
    queue = SubscriberQueue(FOLLOWER_CAPACITY, "overflow_close")
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
