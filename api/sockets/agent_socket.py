"""The socket on which an agent plays (contract, "Playing"): ``WS /v1/agent/ws``.

    frames in ─► AgentCommandHandler                agent's stream, chunk's stream ─► Follow ─► frames out

What an agent is told about its commands comes through its stream, but for the challenge, which its handler sends it;
this socket itself says only ``error`` and ``heartbeat``.  See docs/decisions/0025-agent-socket.md.
"""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Depends, Query, WebSocket

from api.accounts.auth import Session, check_agent, require
from api.challenge.command_handler import AgentCommandHandler, CommandReply
from api.errors import ApiError
from api.ids import AGENT_ID_PATTERN, new_trace_id
from api.ports import JoinOutcome, WorldFull, WorldUnavailable
from api.sockets import stream_metrics
from api.sockets.connections import CLOSE_FAILED, CLOSE_GONE, CLOSE_POLICY, CLOSE_TRY_LATER, Connection
from api.sockets.frames import BINARY, CommandAnswer, CommandReq, FrameError, Ping, parse_frame
from api.sockets.seats import Seat, control_channel
from api.sockets.socket import Socket, accepted, pump
from api.sockets.streams import Batch, Streams, new_channel_id, streams_of, trace_of
from streaming.cancellable import end
from streaming.entry import PrivateEvent, notice
from streaming.follow import Follow
from streaming.hub import HubUnavailable
from streaming.shared_clock import now_ms
from streaming.subscriber_queue import FOLLOWER_CAPACITY, SubscriberQueue

log = structlog.get_logger(__name__)

router = APIRouter()

#: ``bad_frames_max`` of the settings counts within this time.
BAD_FRAMES_WINDOW_S: Final = 60.0

#: Close codes by which a client says that it is done and has read what was sent.
CLEAN_CODES: Final = frozenset({1000, 1001})


@router.websocket("/v1/agent/ws")
async def socket(
    websocket: WebSocket,
    agent_id: Annotated[str, Query(max_length=128, pattern=AGENT_ID_PATTERN)],
    session: Annotated[Session, Depends(require("agent"))],
    last_event_id: Annotated[str | None, Query()] = None,
) -> None:
    """Play an agent over a WebSocket.  Refusals come as HTTP before the socket is accepted."""
    check_agent(session, agent_id)
    streams = streams_of(websocket)
    await streams.seats.hold(agent_id)
    outcome = await _join(websocket, session, agent_id)
    queue = SubscriberQueue(FOLLOWER_CAPACITY, "overflow_close")
    async with streams.connections.open("agent_ws", session, queue) as connection:
        seat = Seat(agent_id, new_channel_id(), connection)
        control = streams.hub.listen(control_channel(seat), seat.heard)
        clean = False
        try:
            try:
                await control.ready()
            except HubUnavailable:
                raise ApiError("unavailable") from None
            await streams.seats.take(seat)
            if not await accepted(websocket):
                return
            clean = await _play(websocket, streams, seat, session, outcome, last_event_id)
        finally:
            control.close()
            streams.seats.leave(seat, clean=clean)


async def _join(websocket: WebSocket, session: Session, agent_id: str) -> JoinOutcome:
    """Put the agent into the world.  Raises ``ApiError``: ``unavailable``, ``world_full``."""
    try:
        outcome: JoinOutcome = await websocket.app.state.services.world.join(
            agent_id, session.account_id, trace_of(websocket)
        )
    except WorldFull:
        raise ApiError("world_full") from None
    except WorldUnavailable:
        raise ApiError("unavailable") from None
    return outcome


async def _play(
    websocket: WebSocket,
    streams: Streams,
    seat: Seat,
    session: Session,
    outcome: JoinOutcome,
    last_event_id: str | None,
) -> bool:
    """Serve the accepted socket until it ends; return whether the agent itself closed it in order."""
    services = websocket.app.state.services
    view = Follow(
        streams.hub,
        streams.redis,
        streams.snapshots,
        seat.agent_id,
        seat.connection.queue,
        trace_of(websocket),
        {"agent_id": seat.agent_id, "channel_id": seat.channel_id, "role": "agent", "resumed": outcome.resumed},
        last_event_id=last_event_id,
        since=seat.sent,
        present_first=True,
        challenges=False,
        records=streams.records,
    )
    out = Socket(websocket, view.queue)

    was_online = False

    def sent(batch: Batch) -> None:
        nonlocal was_online
        seat.note_sent([event for event, _ in batch], view.follower.seq)
        for event, _ in batch:
            if isinstance(event, PrivateEvent):
                handler.saw(event.kind, event.payload, event.ts_ms)
        if was_online and not view.follower.online:
            # Taken out of the world under a living socket (no news of it for too long): coming back puts it in again.
            seat.connection.close(CLOSE_TRY_LATER, "left_the_world")
        was_online = view.follower.online

    def look() -> None:
        if out.writer is not None:
            seat.note_pings(out.writer.pings, out.writer.pongs)

    seat.look = look
    handler = AgentCommandHandler(services.ingress, session, seat.channel_id, view.queue.put)
    handler.begin()
    sending = asyncio.create_task(pump(out, view, seat.connection, sent), name="agent-send")
    try:
        return await _listen(websocket, handler, out, seat, services.settings.bad_frames_max)
    finally:
        handler.close()
        view.queue.close(CLOSE_GONE, "gone")
        await end(sending)


async def _listen(
    websocket: WebSocket, handler: AgentCommandHandler, out: Socket, seat: Seat, bad_frames_max: int
) -> bool:
    """Take the agent's frames, one after the other; return whether it closed in order."""
    patience = Patience(bad_frames_max)
    connection = seat.connection
    taker = WholeFrames(handler, seat)
    if out.writer is not None:
        out.writer.take_whole(taker.take)
    while True:
        taker.waits = True
        message = await websocket.receive()
        taker.waits = False
        if message["type"] == "websocket.disconnect":
            return connection.queue.closed is None and message.get("code") in CLEAN_CODES
        if connection.queue.closed is not None:
            continue  # on its way out; what still comes is not looked at
        text = message.get("text")
        frame = BINARY if text is None else parse_frame(text)
        if isinstance(frame, FrameError):
            stream_metrics.BAD_FRAMES.labels(frame.reason).inc()
            await _say(out, "error", {"reason": frame.reason}, new_trace_id())
            if patience.ends():
                connection.close(CLOSE_POLICY, "too_many_bad_frames")
        elif isinstance(frame, Ping):
            await _say(out, "heartbeat", {"agent_id": seat.agent_id}, frame.trace_id)
        else:
            if isinstance(frame, CommandAnswer):
                seat.note_answer(frame.server_cmd_id)
            await _reply(out, connection, await handler.handle(frame), frame.trace_id)


class WholeFrames:
    """Handles commands' frames in the turn of the loop in which they came, past the task of ``_listen``."""

    def __init__(self, handler: AgentCommandHandler, seat: Seat) -> None:
        self._handler = handler
        self._seat = seat
        #: Whether ``_listen`` has nothing to do: frames are handled one after the other.
        self.waits = False

    def take(self, message: bytes) -> bool:
        """Handle a message, if that can be done at once; False: nothing was done, and it is for ``_listen``."""
        connection = self._seat.connection
        if not self.waits or connection.queue.closed is not None:
            return False
        try:
            frame = parse_frame(message)
            if not isinstance(frame, CommandReq | CommandAnswer) or not self._handler.at_once(frame):
                return False
            if isinstance(frame, CommandAnswer):
                self._seat.note_answer(frame.server_cmd_id)
        except Exception:  # its caller is the server's protocol
            log.exception("frame_failed")
            connection.close(CLOSE_FAILED, "internal_error")
        return True


async def _reply(out: Socket, connection: Connection, reply: CommandReply | None, trace_id: str) -> None:
    if reply is None:
        return
    await _say(out, "error", reply.payload(), trace_id)
    if reply.close:
        connection.close(CLOSE_POLICY, reply.reason)


async def _say(out: Socket, kind: str, payload: dict[str, object], trace_id: str) -> None:
    await out.send([(notice(kind, payload, now_ms(), trace_id), None)])


class Patience:
    """Counts bad frames, forgetting them over ``BAD_FRAMES_WINDOW_S``."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0.0
        self._at = time.monotonic()

    def ends(self) -> bool:
        """Count one more; return True when that is too many."""
        now = time.monotonic()
        self._count = max(0.0, self._count - (now - self._at) * self._most / BAD_FRAMES_WINDOW_S) + 1
        self._at = now
        return self._count > self._most
