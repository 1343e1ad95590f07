"""The socket of one agent: connect, read, notice silence, reconnect with resume.

``AgentConnection`` owns sockets and time and knows nothing of commands; what comes in goes to ``on_frame``.  ``run``
goes on until it is cancelled or something final happens, and says so by raising it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from chunkcrawl.errors import ApiError, ChunkcrawlError, InvalidSession, NotReady, ServerUnreachable, TakenOver
from chunkcrawl.transport.backoff import RESTART_SPREAD_S, Backoff
from chunkcrawl.transport.http import Session, bearer, error_of, websocket_url
from chunkcrawl.transport.proxies import Proxy, proxy_for, unreachable
from chunkcrawl.transport.sessions import SessionKeeper
from chunkcrawl.wire.codec import encode

__all__ = [
    "CLOSE_RESTART",
    "CLOSE_TAKEN_OVER",
    "CLOSE_TOO_SLOW",
    "AgentConnection",
    "AgentSocket",
    "OpenSocket",
    "is_worth_retrying",
]

log = logging.getLogger("chunkcrawl.client")

CLOSE_TAKEN_OVER: Final = 4001
CLOSE_TOO_SLOW: Final = 4002
CLOSE_ABNORMAL: Final = 1006
CLOSE_POLICY: Final = 1008
#: Going away, service restart, try again later: everybody was told at once, so everybody spreads.
CLOSE_RESTART: Final = frozenset((1001, 1012, 1013))

CLOSE_DRAINED: Final = 1012
#: The reason with which a gateway that drains sends one client after the other away: the spreading is done already.
DRAINING: Final = "draining"

OPEN_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 1.0
#: How long a peer may take nothing before it counts as gone, whatever it still says.
SEND_TIMEOUT_S: Final = 10.0

#: How long an agent or watcher goes without a connection before it gives up, unless told to try for ever.
AWAY_TIMEOUT_S: Final = 600.0

PING_AFTER_S: Final = 12.0
#: How long a client hears nothing before it reconnects (the contract's constant).
SILENCE_MAX_S: Final = 30.0

#: How long a connection must live to be a good one: the next reconnect starts with small delays again.
STOOD_AFTER_S: Final = 10.0

FRAME_MAX_BYTES: Final = 4 * 1024 * 1024
#: New sessions that may be refused in a row before it is taken as an answer.
FRESH_REFUSALS_MAX: Final = 2


class Cuttable(Protocol):
    """What can be cut without a word."""

    def abort(self) -> None:
        """Cut it."""


class AgentSocket(Protocol):
    """The part of a socket of ``websockets`` that a connection uses; ``open_socket`` may bring another kind."""

    @property
    def transport(self) -> Cuttable:
        """What is cut when the peer has gone without a word."""

    @property
    def close_code(self) -> int | None:
        """The close code, None while it is open."""

    @property
    def close_reason(self) -> str | None:
        """The reason with it."""

    async def recv(self, decode: Literal[False]) -> bytes:
        """Return the next message.  Raises ``ConnectionClosed``."""

    async def send(self, message: str) -> None:
        """Send a text.  Raises ``ConnectionClosed``."""

    async def close(self) -> None:
        """Close in order."""


#: Opens a socket at a URL, with headers.  Raises ``InvalidStatus``, ``OSError``.
OpenSocket: TypeAlias = Callable[[str, dict[str, str]], Awaitable[AgentSocket]]


@dataclass(frozen=True, slots=True)
class Lost:
    """Why a connection ended, and what that means for the next try."""

    code: int | None
    spread_s: float | None = None


class AgentConnection:
    """The socket of one agent, opened again when it is lost.

    Attributes:
        connections: How many connections have been opened; more than one means that it reconnected.
        last_problem: Why the last try failed, None before the first failure and once a connection stands.
        away_since_s: When the last connection ended, or was last heard if it ended without a word, by the loop's clock;
            None while there is one.
    """

    def __init__(
        self,
        base: str,
        agent_id: str,
        sessions: SessionKeeper,
        *,
        on_open: Callable[[Session], None],
        on_frame: Callable[[bytes], Awaitable[None]],
        on_lost: Callable[[], None],
        last_event_id: Callable[[], str | None],
        rng: random.Random,
        away_timeout_s: float | None = AWAY_TIMEOUT_S,
        open_socket: OpenSocket | None = None,
    ) -> None:
        self._base, self._agent_id = base, agent_id
        self._open_socket = open_socket
        self._away_timeout_s = away_timeout_s
        self._sessions = sessions
        self._on_open, self._on_frame, self._on_lost = on_open, on_frame, on_lost
        self._last_event_id = last_event_id
        self._backoff = Backoff(rng)
        self._socket: AgentSocket | None = None
        self._heard_at = 0.0
        self._fresh_refusals = 0
        self.connections = 0
        self.last_problem: ChunkcrawlError | None = None
        self.away_since_s: float | None = None

    @property
    def silent_s(self) -> float:
        """Seconds since anything was heard on the present connection; 0 without one."""
        return asyncio.get_running_loop().time() - self._heard_at if self._socket is not None else 0.0

    async def send(self, frame: str) -> None:
        """Send a text frame.  On a lost connection nothing happens: the reader notices and starts anew."""
        socket = self._socket
        if socket is not None:
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await socket.send(frame)
            except ConnectionClosed:
                return
            except TimeoutError:
                socket.transport.abort()

    def abort(self) -> None:
        """Cut the socket, if there is one, without a word to the peer."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def run(self) -> None:
        """Stay connected.

        Raises:
            TakenOver: A newer connection plays the agent.
            ApiError: The server refuses for good: 401 to the key, 403, 404, ...
            ServerUnreachable: No connection for ``away_timeout_s``.
        """
        loop = asyncio.get_running_loop()
        self.away_since_s = loop.time()
        while True:
            try:
                lost = await self._connection(await self._sessions.current())
            except ChunkcrawlError as error:
                if not is_worth_retrying(error):
                    raise
                self.last_problem = error
                hint_s = error.retry_after_s if isinstance(error, ApiError) else None
                delay_s = self._backoff.next_delay(at_least_s=hint_s or 0.0)
            else:
                delay_s = self._backoff.next_delay(spread_s=lost.spread_s)
            away_s = loop.time() - (self.away_since_s or loop.time())
            if self._away_timeout_s is not None and away_s + delay_s > self._away_timeout_s:
                why = f": {self.last_problem}" if self.last_problem else ""
                raise ServerUnreachable(f"{self._base}: no connection for {away_s:.0f} s, given up for good{why}")
            log.info("agent %s: next connection in %.1f s", self._agent_id, delay_s)
            await asyncio.sleep(delay_s)

    # -- one connection --

    async def _connection(self, session: Session) -> Lost:
        loop = asyncio.get_running_loop()
        socket = await self._opened(session)
        began = loop.time()
        self.connections += 1
        self._socket, self._heard_at = socket, began
        self.away_since_s = self.last_problem = None
        beside = [loop.create_task(self._listen_for_silence(socket)), loop.create_task(self._sessions.keep(session))]
        try:
            self._on_open(session)
            await self._read(socket)
        finally:
            for task in beside:
                task.cancel()
            self._socket = None
            self.away_since_s = self._heard_at if socket.close_code in (None, CLOSE_ABNORMAL) else loop.time()
            self._on_lost()
            await _close(socket)
            await asyncio.gather(*beside, return_exceptions=True)
        if loop.time() - began >= STOOD_AFTER_S:
            self._backoff.reset()
        return self._judge(session, socket.close_code, socket.close_reason)

    def _judge(self, session: Session, code: int | None, reason: str | None) -> Lost:
        log.info("agent %s: connection ended with %s", self._agent_id, code)
        if code == CLOSE_TAKEN_OVER:
            raise TakenOver("a newer connection plays this agent")
        if code == CLOSE_POLICY:
            # The session was revoked or has expired, or we misbehaved; a new session helps in the first two cases.
            self._sessions.dead(session)
        if code == CLOSE_DRAINED and reason == DRAINING:
            return Lost(code, None)
        return Lost(code, RESTART_SPREAD_S if code in CLOSE_RESTART else None)

    async def _opened(self, session: Session) -> AgentSocket:
        query = {"agent_id": self._agent_id}
        last = self._last_event_id()
        if last:
            query["last_event_id"] = last
        url = websocket_url(self._base, "/v1/agent/ws", query)
        proxy = proxy_for(self._base) if self._open_socket is None else None
        try:
            socket = await self._connected(url, bearer(session.session_token), proxy)
        except InvalidStatus as refused:
            answer = refused.response
            raise self._refused(
                session, error_of(answer.status_code, answer.headers, bytes(answer.body or b""), proxy)
            ) from None
        except (OSError, TimeoutError, WebSocketException) as error:
            raise unreachable(self._base, error, proxy) from error
        self._fresh_refusals = 0
        return socket

    async def _connected(self, url: str, headers: dict[str, str], proxy: Proxy | None) -> AgentSocket:
        if self._open_socket is not None:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                return await self._open_socket(url, headers)
        return await connect(
            url,
            additional_headers=headers,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=None,  # ours is the contract's ping, which the application answers, not only its socket
            compression=None,
            max_size=FRAME_MAX_BYTES,
            proxy=proxy.url if proxy else None,
        )

    def _refused(self, session: Session, error: ApiError) -> ChunkcrawlError:
        """Return what a refusal means; a 401 is the session's fault first: another one is tried before it counts."""
        if not isinstance(error, InvalidSession):
            return error
        self._sessions.dead(session)
        self._fresh_refusals += 1
        if self._fresh_refusals > FRESH_REFUSALS_MAX:
            return error
        return NotReady(503, error.reason)

    async def _read(self, socket: AgentSocket) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                frame = await socket.recv(decode=False)
                self._heard_at = loop.time()
                await self._on_frame(frame)
        except ConnectionClosed:
            return

    async def _listen_for_silence(self, socket: AgentSocket) -> None:
        loop = asyncio.get_running_loop()
        pinged_at = 0.0
        while (silent_s := loop.time() - self._heard_at) < SILENCE_MAX_S:
            if silent_s >= PING_AFTER_S and pinged_at < self._heard_at:
                pinged_at = loop.time()
                await self.send(encode("ping", {}))
            await asyncio.sleep(PING_AFTER_S / 4)
        log.info("agent %s: nothing heard for %.0f s", self._agent_id, SILENCE_MAX_S)
        # The peer may be gone without a word; closing politely would wait for its answer.
        socket.transport.abort()


async def _close(socket: AgentSocket) -> None:
    """Send a close frame and close, in bounded time whatever the peer does."""
    try:
        async with asyncio.timeout(2 * CLOSE_TIMEOUT_S):
            await socket.close()
    except TimeoutError:
        socket.transport.abort()


def is_worth_retrying(error: ChunkcrawlError) -> bool:
    """Return whether the same request may succeed later: no connection, 429, 5xx."""
    if isinstance(error, ApiError):
        return error.status == 429 or error.status >= 500
    return isinstance(error, ServerUnreachable)
