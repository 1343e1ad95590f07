"""A simulated spectator: watches a chunk over server-sent events, resumes after a loss, goes on when the chunk ends."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Final
from urllib.parse import quote

from chunkcrawl.errors import ChunkcrawlError, InvalidSession, NotFound, NotReady
from chunkcrawl.transport.backoff import Backoff
from chunkcrawl.transport.connection import SILENCE_MAX_S, STOOD_AFTER_S
from chunkcrawl.transport.http import Session
from chunkcrawl.transport.sessions import SessionKeeper
from loadtest.event_stream import SseConnection, open_stream
from loadtest.group import AgentGroup, some_chunk
from loadtest.slow import Slowness
from loadtest.ticks import TickWatch

__all__ = ["SimulatedSpectator"]

#: One of how many spectators reads slowly in the scenario ``slow-reader``.
SLOW_EVERY: Final = 2


class SimulatedSpectator:
    """One spectator.  ``run`` watches until the group closes; ``sweep`` is to be called about once a second."""

    def __init__(self, group: AgentGroup, number: int, rng: random.Random) -> None:
        self._group, self._rng = group, rng
        self._sessions = SessionKeeper.of_role(group.api, "spectator", None, api_key=group.api_key, rng=rng)
        slow = group.plan.scenario == "slow-reader" and number % SLOW_EVERY == 0
        self._slow = Slowness(rng) if slow else None
        self._watch = TickWatch()
        self._stream: SseConnection | None = None
        self._chunk_id: str | None = None
        self._last_event_id: str | None = None
        self._began_at = self._heard_at = 0.0
        self._joined = self._counted = False

    async def run(self) -> None:
        """Stay connected; returns when the group closes, or when the server refuses for good."""
        backoff = Backoff(self._rng)
        self._began_at = time.perf_counter()
        while self._group.open:
            try:
                session = await self._sessions.current()
                stream = await self._opened(session)
            except NotFound:
                self._leave_chunk()
                await asyncio.sleep(backoff.next_delay())
                continue
            except ChunkcrawlError as error:
                if not await self._group.pause(error, backoff, joined=self._joined):
                    return
                continue
            await self._connection(stream, session)
            if time.perf_counter() - self._began_at > STOOD_AFTER_S:
                backoff.reset()
            if self._group.open:
                await asyncio.sleep(backoff.next_delay())

    async def _opened(self, session: Session) -> SseConnection:
        if self._chunk_id is None:
            self._chunk_id = some_chunk(self._group.place_of, self._rng)
        if self._joined:
            self._began_at = time.perf_counter()
        path = f"/v1/spectate/stream?chunk_id={quote(self._chunk_id, safe='')}"
        self._watch.restart()
        try:
            return await open_stream(
                self._group, path, session.session_token, self._last_event_id, self, slow=self._slow is not None
            )
        except InvalidSession as error:
            self._sessions.dead(session)
            raise NotReady(503, error.reason) from None

    async def _connection(self, stream: SseConnection, session: Session) -> None:
        self._stream, self._heard_at = stream, time.perf_counter()
        if not self._group.open:
            stream.close()
        keeping = asyncio.get_running_loop().create_task(self._sessions.keep(session))
        try:
            await stream.ended
        finally:
            keeping.cancel()
            self._stream = None
            self._count(False)
            if not stream.ours and self._chunk_id is not None:
                self._group.measures.counts["disconnects"] += 1
                self._group.measures.count_as("closed", "stream_end" if stream.finished else "stream_broken")
            stream.close()

    def close(self) -> None:
        """Leave."""
        if self._stream is not None:
            self._stream.close()

    # -- for the stream --

    def event(self, stream: SseConnection, name: bytes, event_id: bytes, data: bytes) -> None:
        """See ``EventReader``."""
        now = self._heard_at = time.perf_counter()
        counts = self._group.measures.counts
        counts["bytes"] += len(data)
        if event_id:
            self._last_event_id = event_id.decode("latin-1")
        if name == b"chunk_delta":
            counts["deliveries"] += 1
            counts["spectator_deliveries"] += 1
            if self._slow is None:
                self._watch.note(data, now, self._group.measures)
            self._show(now)
        elif name == b"resync_required":
            counts["spectator_resyncs"] += 1
            self._watch.restart()
        elif name == b"chunk_static":
            self._watch.restart()
        elif name == b"chunk_closed":
            counts["chunks_closed"] += 1
            self._leave_chunk()

    def _show(self, now: float) -> None:
        if self._counted:
            return
        self._group.measures.times["resume" if self._joined else "join"].record(now - self._began_at)
        self._group.measures.counts["resumes" if self._joined else "joins"] += 1
        if not self._joined:
            self._group.let_in(now)
        self._joined = True
        self._count(True)

    def _count(self, here: bool) -> None:
        if here is not self._counted:
            self._counted = here
            self._group.spectators += 1 if here else -1

    def _leave_chunk(self) -> None:
        self._chunk_id = self._last_event_id = None

    # -- now and then --

    def sweep(self, now: float) -> None:
        """Notice silence, and read slowly where the scenario says so."""
        if self._stream is None:
            return
        if self._slow is not None:
            self._slow.apply(self._stream, now, going=self._group.going)
        elif now - self._heard_at > SILENCE_MAX_S:
            self._group.measures.counts["silences"] += 1
            self._stream.close()
