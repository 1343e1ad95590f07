"""``Watcher``: follow a chunk as a spectator, or one's own agent as its owner, over server-sent events.

    async with Watcher.chunk(base, "chunk-0", api_key=key) as watcher:
        async for event in watcher.events():
            print(event.type, watcher.view.tick)

With ``from_tick`` the past is played from there, at ``speed``, and goes on with what happens now.

It resumes with ``Last-Event-ID`` after every loss, opens a new session when the old one is dead, and waits with full
jitter in between.  Read-only by nature.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Final, TypedDict, Unpack

import httpx

from chunkcrawl.errors import ApiError, ChunkcrawlError, ChunkGone, InvalidSession, NotFound, NotReady
from chunkcrawl.transport.backoff import Backoff
from chunkcrawl.transport.connection import (
    AWAY_TIMEOUT_S,
    FRESH_REFUSALS_MAX,
    SILENCE_MAX_S,
    STOOD_AFTER_S,
    is_worth_retrying,
)
from chunkcrawl.transport.http import Api, Role, Session, bearer, error_of
from chunkcrawl.transport.proxies import unreachable
from chunkcrawl.transport.sessions import SessionKeeper
from chunkcrawl.transport.shared_api import SharedApi
from chunkcrawl.view.world_view import WorldView
from chunkcrawl.wire.codec import decode_sse
from chunkcrawl.wire.messages import ChunkClosed, Event
from chunkcrawl.wire.repeats import Repeats
from chunkcrawl.wire.sse import HEADERS, server_sent_events

__all__ = ["Watcher", "WatcherOptions", "moment_of"]

log = logging.getLogger("chunkcrawl.client")

OPEN_TIMEOUT_S: Final = 10.0
#: A server's ``retry:`` is heeded up to here.
RETRY_HINT_MAX_S: Final = 60.0
MS_PER_S: Final = 1_000


class WatcherOptions(TypedDict, total=False):
    """How a ``Watcher`` connects; all of it may be left out."""

    #: Opens sessions, now and whenever one has died.
    api_key: str | None
    #: A session in place of ``api_key``; it can't be replaced when it ends.
    session: Session | None
    #: An HTTP client of one's own; it is left open.  None: one that all watchers of this event loop share.
    api: Api | None
    #: How long the first connection is tried, 15 if not said.
    open_timeout_s: float
    #: How long a lost connection is tried again, ten minutes if not said.  None: for ever.
    away_timeout_s: float | None
    #: Play the past from here: a tick, a Unix time in milliseconds, or a time (UTC without a zone); None: the present.
    from_tick: int | datetime | None
    #: How many times faster the past is played, 0.5 to 32.
    speed: float
    #: Where the jitter comes from.
    rng: random.Random | None


class Watcher:
    """A stream that goes on over lost connections.  Make it with ``Watcher.chunk`` or ``Watcher.owner``.

    Attributes:
        view: The present state of what is watched, kept up to date by ``events``.
        connections: How many connections there have been.
        connected: Whether there is one now.
        problem: Why there is none, as far as that is known.
        next_try_at: When the next one is tried, on the event loop's clock; None when nothing is waited for.
        last_event_id: Where the next connection resumes.
        unusable_events: How many events were no messages of the contract.
    """

    def __init__(
        self,
        api: Api,
        path: str,
        query: dict[str, str],
        sessions: SessionKeeper,
        *,
        agent_id: str | None,
        shared: SharedApi,
        open_timeout_s: float,
        away_timeout_s: float | None,
        rng: random.Random,
    ) -> None:
        """Use ``Watcher.chunk`` or ``Watcher.owner`` instead."""
        self.view = WorldView(agent_id)
        self.connections = 0
        self.connected = False
        self.problem: ChunkcrawlError | None = None
        self.next_try_at: float | None = None
        self.last_event_id: str | None = None
        self.unusable_events = 0
        self._api, self._shared = api, shared
        self._url, self._query = api.base + path, query
        self._sessions = sessions
        self._open_timeout_s, self._away_timeout_s = open_timeout_s, away_timeout_s
        self._away_since_s = 0.0
        self._backoff = Backoff(rng)
        self._repeats = Repeats()
        self._fresh_refusals = 0
        self._retry_hint_s = 0.0
        self._over = False

    @classmethod
    def chunk(cls, base: str, chunk_id: str = "demo", **options: Unpack[WatcherOptions]) -> Watcher:
        """Watch a chunk; ``demo`` means ``chunk-0``, which is never removed.

        Without ``api_key`` and ``session`` a development session is asked for, which servers in production refuse.
        """
        path, query = "/v1/spectate/stream", {"chunk_id": chunk_id}
        return cls._opened(base, path, query, "spectator", None, Api.dev_spectator_session, **options)

    @classmethod
    def owner(cls, base: str, agent_id: str, **options: Unpack[WatcherOptions]) -> Watcher:
        """Follow an agent over all its chunks, its challenges, results and inventory included.

        Without ``api_key`` and ``session`` a development session is asked for, which servers in production refuse.
        """

        def dev_session(api: Api) -> Awaitable[Session]:
            return api.dev_owner_session(agent_id)

        path, query = "/v1/owner/stream", {"agent_id": agent_id}
        return cls._opened(base, path, query, "owner_spectator", agent_id, dev_session, **options)

    @classmethod
    def _opened(
        cls,
        base: str,
        path: str,
        query: dict[str, str],
        role: Role,
        agent_id: str | None,
        dev_session: Callable[[Api], Awaitable[Session]],
        *,
        api_key: str | None = None,
        session: Session | None = None,
        api: Api | None = None,
        open_timeout_s: float = 15.0,
        away_timeout_s: float | None = AWAY_TIMEOUT_S,
        from_tick: int | datetime | None = None,
        speed: float = 1.0,
        rng: random.Random | None = None,
    ) -> Watcher:
        if from_tick is not None:
            query = query | {"from_tick": str(moment_of(from_tick)), "speed": f"{speed:g}"}
        rng, shared = rng or random.Random(), SharedApi.of(base) if api is None else SharedApi.own(api)
        if api_key is None and session is None:
            sessions = SessionKeeper(shared.api, partial(dev_session, shared.api), rng=rng)
        else:
            sessions = SessionKeeper.of_role(shared.api, role, agent_id, api_key=api_key, session=session, rng=rng)
        return cls(
            shared.api,
            path,
            query,
            sessions,
            agent_id=agent_id,
            shared=shared,
            open_timeout_s=open_timeout_s,
            away_timeout_s=away_timeout_s,
            rng=rng,
        )

    async def __aenter__(self) -> Watcher:
        self._shared.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._shared.leave()

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield every event once, in order; the view is fed before each.

        There is no queue: who takes long between two events makes the
        server drop old deltas and send ``resync_required`` (spectators), or resume the stream anew (owners).

        Raises:
            ChunkGone: The chunk was removed, as empty ones are; the last event was ``chunk_closed``, if it arrived.
            ServerUnreachable, NotReady: There was no first connection within ``open_timeout_s``, or none again within
                ``away_timeout_s`` of a lost one.
            ApiError: The server refuses for good: 403, 404 ``chunk_not_found``, 401 to the key, ...
            ProtocolViolation: This is no event stream.
        """
        loop = asyncio.get_running_loop()
        self._away_since_s = loop.time()
        while True:
            hint_s = 0.0
            try:
                session = await self._sessions.current()
                async with aclosing(self._connection(session)) as events:
                    async for event in events:
                        yield event
            except ChunkcrawlError as error:
                if self.connections and isinstance(error, NotFound) and error.reason == "chunk_not_found":
                    raise self._gone() from error
                bound_s = self._away_timeout_s if self.connections else self._open_timeout_s
                late = bound_s is not None and loop.time() - self._away_since_s >= bound_s
                if late or not is_worth_retrying(error):
                    raise
                self.problem = error
                hint_s = (error.retry_after_s or 0.0) if isinstance(error, ApiError) else 0.0
            if self._over:
                raise self._gone()
            delay_s = self._backoff.next_delay(at_least_s=max(hint_s, self._retry_hint_s))
            log.info("stream %s: next connection in %.1f s", self._url, delay_s)
            self.next_try_at = loop.time() + delay_s
            await asyncio.sleep(delay_s)
            self.next_try_at = None

    # -- private --

    async def _connection(self, session: Session) -> AsyncGenerator[Event, None]:
        headers = HEADERS | bearer(session.session_token)
        if self.last_event_id:
            headers["Last-Event-ID"] = self.last_event_id
        timeout = httpx.Timeout(OPEN_TIMEOUT_S, read=SILENCE_MAX_S)
        loop = asyncio.get_running_loop()
        began, keeping = loop.time(), loop.create_task(self._sessions.keep(session))
        before = self.connections
        try:
            stream = self._api.http.stream("GET", self._url, params=self._query, headers=headers, timeout=timeout)
            async with stream as response:
                if response.status_code != 200:
                    async with asyncio.timeout(OPEN_TIMEOUT_S):
                        await response.aread()
                    answer = error_of(response.status_code, response.headers, response.content, self._api.proxy)
                    raise self._refused(session, answer)
                self.connections += 1
                self.connected, self.problem = True, None
                self._fresh_refusals = 0
                async with aclosing(self._read(response)) as events:
                    async for event in events:
                        yield event
        except (httpx.HTTPError, TimeoutError) as error:
            raise unreachable(self._url, error, self._api.proxy) from error
        finally:
            self.connected = False
            if self.connections > before:
                self._away_since_s = loop.time()
            keeping.cancel()
            if loop.time() - began >= STOOD_AFTER_S:
                self._backoff.reset()

    async def _read(self, response: httpx.Response) -> AsyncGenerator[Event, None]:
        async with aclosing(server_sent_events(response)) as stream:
            async for sse in stream:
                if sse.retry is not None:
                    self._retry_hint_s = min(max(sse.retry, 0) / 1000, RETRY_HINT_MAX_S)
                if not sse.data:
                    continue
                event = self._taken(sse.event, sse.data, sse.id)
                if event is not None:
                    yield event
                if self._over:
                    return

    def _taken(self, name: str, data: str, event_id: str) -> Event | None:
        """Feed the event to the view and return it; None for a repeat or for what is no message."""
        # The library repeats the last id on events without one; only a new id is this event's own.
        own_id = event_id if event_id != self.last_event_id else ""
        try:
            event = decode_sse(name, data, own_id)
        except ValueError:
            self.unusable_events += 1
            return None
        if own_id:
            self.last_event_id = own_id
        if self._repeats.is_repeat(event):
            return None
        self.view.feed(event)
        self._over = isinstance(event, ChunkClosed) and self.view.agent_id is None
        return event

    def _gone(self) -> ChunkGone:
        return ChunkGone(self.view.chunk_id or self._query.get("chunk_id", ""))

    def _refused(self, session: Session, error: ApiError) -> ApiError:
        """Return what a refusal means; a 401 is the session's fault first: another one is tried before it counts."""
        if not isinstance(error, InvalidSession):
            return error
        self._sessions.dead(session)
        self._fresh_refusals += 1
        return error if self._fresh_refusals > FRESH_REFUSALS_MAX else NotReady(503, error.reason)


def moment_of(from_tick: int | datetime) -> int:
    """Return a tick as it is, and a time as Unix time in milliseconds, which the server takes in a tick's place."""
    if isinstance(from_tick, int):
        return from_tick
    at = from_tick if from_tick.tzinfo is not None else from_tick.replace(tzinfo=UTC)
    return round(at.timestamp() * MS_PER_S)
