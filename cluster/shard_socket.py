"""Calls to shards over a socket, both ends: the bytes of ``cluster.shard_calls`` without Ray in between.

Ray places the actors, restarts them, and tells a caller where its shard listens and with which token; from then on the
calls that come for every command, join and crossing go over one connection for each caller and shard, and all others
over Ray.  Where no connection can be made, a firewall between two nodes say, everything goes over Ray.  See
docs/decisions/0054-calls-over-sockets.md.

A connection begins with the token.  Then come frames, both ways: length, number of the call, a byte, the call's bytes.
The byte says which method is called, or what the answer is.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import struct
import time
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar, cast

import structlog

from cluster.messages import ADDRESS, OLDEST, ForeignVersion, ShardAddress
from cluster.peers import ShardUnavailable, WorldReloaded
from cluster.shard_calls import Carrier, CarryingClient, ShardEndpoint
from config.logs import described

__all__ = ["IntroducedShard", "ShardListener", "SocketShardClient"]

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger(__name__)

#: What goes over sockets, by the byte that says so.
METHODS: Final = tuple(
    method.__name__
    for method in (ShardEndpoint.submit, ShardEndpoint.join, ShardEndpoint.reserve, ShardEndpoint.release)
)
#: What an answer is.
DONE, RELOADED, UNAVAILABLE = 0, 1, 2
#: What makes a shard unavailable that can't read the call.
FOREIGN: Final = ForeignVersion.__name__.encode()

HEAD: Final = struct.Struct("!IIB")
#: 256 commands of the largest that an agent may send are 4.5 MB.
FRAME_MOST_BYTES: Final = 16 * 1024 * 1024
TOKEN_BYTES: Final = 32
#: How long a connection may take to show the token, and how many may do so at a time.
TOKEN_WITHIN_S: Final = 2.0
STRANGERS_MOST: Final = 64
#: Calls of one connection that a shard works on; more are not read.
CALLS_MOST: Final = 64
#: Answers that a caller has not read, above which it is taken for dead.
UNREAD_MOST_BYTES: Final = 4 * 1024 * 1024

CONNECT_WITHIN_S: Final = 1.0
#: How long calls go over Ray after a connection could not be made.
TRY_AGAIN_AFTER_S: Final = 30.0


class IntroducedShard(Protocol):
    """The call over Ray that comes before all others."""

    async def address(self, node: str) -> bytes:
        """Return where the shard listens for callers on ``node``."""
        ...


class _Framed(asyncio.Protocol):
    """One end of a connection: takes frames apart."""

    def __init__(self) -> None:
        self._got = bytearray()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        self._got += data
        self._take_frames()

    def _take_frames(self) -> None:
        got, at = self._got, 0
        while len(got) - at >= HEAD.size and self._may_take():
            length, number, what = HEAD.unpack_from(got, at)
            if length > FRAME_MOST_BYTES:
                self._transport.abort()
                break
            end = at + HEAD.size + length
            if len(got) < end:
                break
            self._take(number, what, bytes(memoryview(got)[at + HEAD.size : end]))
            at = end
        if at:
            del got[:at]

    def _may_take(self) -> bool:
        return True

    def _take(self, number: int, what: int, body: bytes) -> None:
        raise NotImplementedError

    def _send(self, number: int, what: int, body: bytes) -> None:
        self._transport.write(HEAD.pack(len(body), number, what) + body)


# -- the shard's end --


class ShardListener:
    """Listens for callers of one shard, each of which has been told the token over Ray."""

    def __init__(self, endpoint: ShardEndpoint) -> None:
        self.endpoint = endpoint
        self.token = secrets.token_bytes(TOKEN_BYTES)
        self.strangers = 0
        #: Calls that are worked on: a connection that ends takes nothing back.
        self.calls: set[asyncio.Task[None]] = set()
        self._connections: set[_CallerConnection] = set()
        self._servers: dict[str, asyncio.Server] = {}
        self._opening = asyncio.Lock()

    async def address(self, host: str) -> bytes:
        """Return where the shard listens on ``host``, an address of this machine; it begins to with the first call."""
        async with self._opening:
            server = self._servers.get(host)
            if server is None:
                loop = asyncio.get_running_loop()
                server = self._servers[host] = await loop.create_server(lambda: _CallerConnection(self), host, 0)
        return ADDRESS.pack(ShardAddress(host, server.sockets[0].getsockname()[1], self.token), OLDEST)

    async def close(self) -> None:
        """Listen no more, and end all connections."""
        for server in self._servers.values():
            server.close()
        for connection in list(self._connections):
            connection.end()
        for call in list(self.calls):
            call.cancel()
        await asyncio.gather(*self.calls, return_exceptions=True)

    def came(self, connection: _CallerConnection) -> None:
        """Note a connection."""
        self._connections.add(connection)

    def left(self, connection: _CallerConnection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)


class _CallerConnection(_Framed):
    """A connection at the shard's end."""

    def __init__(self, listener: ShardListener) -> None:
        super().__init__()
        self._listener = listener
        self._known = False
        self._deadline: asyncio.TimerHandle | None = None
        self._calls = 0
        self._gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the token."""
        super().connection_made(transport)
        listener = self._listener
        listener.came(self)
        listener.strangers += 1
        if listener.strangers > STRANGERS_MOST:
            self.end()
        else:
            self._deadline = asyncio.get_running_loop().call_later(TOKEN_WITHIN_S, self.end)

    def data_received(self, data: bytes) -> None:
        """Take bytes, the token first."""
        if self._known:
            super().data_received(data)
            return
        self._got += data
        if len(self._got) < TOKEN_BYTES:
            return
        token = bytes(self._got[:TOKEN_BYTES])
        if not hmac.compare_digest(token, self._listener.token):
            log.warning("shard_caller_refused", peer=str(self._transport.get_extra_info("peername")))
            self.end()
            return
        self._become_known()
        del self._got[:TOKEN_BYTES]
        self._take_frames()

    def connection_lost(self, _: Exception | None) -> None:
        """Forget the connection; its calls go on."""
        self._gone = True
        if not self._known:
            self._become_known()
        self._listener.left(self)

    def end(self) -> None:
        """End it at once."""
        self._transport.abort()

    def _become_known(self) -> None:
        self._known = True
        self._listener.strangers -= 1
        if self._deadline is not None:
            self._deadline.cancel()

    def _may_take(self) -> bool:
        return self._calls < CALLS_MOST and not self._gone

    def _take(self, number: int, what: int, body: bytes) -> None:
        self._calls += 1
        if self._calls == CALLS_MOST:
            self._transport.pause_reading()
        task = asyncio.get_running_loop().create_task(self._answer(number, what, body))
        self._listener.calls.add(task)
        task.add_done_callback(self._listener.calls.discard)

    async def _answer(self, number: int, what: int, body: bytes) -> None:
        try:
            answer = await getattr(self._listener.endpoint, METHODS[what])(body)
            self._reply(number, DONE, answer or b"")
        except WorldReloaded:
            self._reply(number, RELOADED, b"")
        except Exception as error:  # whatever it was, the caller must hear of it
            if not isinstance(error, ShardUnavailable | ForeignVersion):
                log.error("shard_call_failed", **described(error))
            self._reply(number, UNAVAILABLE, type(error).__name__.encode())
        finally:
            self._calls -= 1
            if self._calls == CALLS_MOST - 1 and not self._gone:
                self._take_frames()
                if self._calls < CALLS_MOST:
                    self._transport.resume_reading()

    def _reply(self, number: int, what: int, body: bytes) -> None:
        if self._gone:
            return
        if self._transport.get_write_buffer_size() > UNREAD_MOST_BYTES:
            self.end()
        else:
            self._send(number, what, body)


# -- the caller's end --


class _ShardConnection(_Framed):
    """A connection at the caller's end; it lives until it breaks, or a call on it has had no answer in time."""

    def __init__(self, shard: int, token: bytes) -> None:
        super().__init__()
        self._shard = shard
        self._token = token
        self._number = 0
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self.gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Show the token."""
        super().connection_made(transport)
        self._transport.write(self._token)

    def connection_lost(self, _: Exception | None) -> None:
        """Fail whatever waits for an answer."""
        self.gone = True
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ShardUnavailable(f"the connection to shard {self._shard} broke"))
        self._waiting.clear()

    async def call(self, method: str, body: bytes, timeout_s: float) -> bytes:
        """Call a method of ``METHODS``.  Raises ``ShardUnavailable``, ``WorldReloaded``."""
        if self.gone:
            raise ShardUnavailable(f"the connection to shard {self._shard} broke")
        number = self._number = (self._number + 1) % 2**32
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes] = loop.create_future()
        self._waiting[number] = future
        self._send(number, METHODS.index(method), body)
        timer = loop.call_later(timeout_s, self._late, future, method)
        try:
            return await future
        finally:
            timer.cancel()
            self._waiting.pop(number, None)

    def _late(self, future: asyncio.Future[bytes], method: str) -> None:
        if not future.done():
            future.set_exception(ShardUnavailable(f"shard {self._shard} gave no answer to {method}"))
            # Its process may be stopped, or its machine gone without a word: the next call asks Ray where it is.
            self.end()

    def end(self) -> None:
        """End it; what waits fails."""
        self.gone = True
        self._transport.abort()

    def _take(self, number: int, what: int, body: bytes) -> None:
        future = self._waiting.get(number)
        if future is None or future.done():
            return  # nobody waits for it any more
        if what == DONE:
            future.set_result(body)
        elif what == RELOADED:
            future.set_exception(WorldReloaded())
        elif body == FOREIGN:
            future.set_exception(ForeignVersion(f"shard {self._shard} knows no messages of our version"))
        else:
            future.set_exception(ShardUnavailable(f"shard {self._shard}: {body.decode('ascii', 'replace')}"))


class SocketShardClient(CarryingClient):
    """``ShardClient`` over sockets, and over Ray for what is not for them.

    Args:
        over_ray: carries all other calls, and those to shards to which no connection can be made.
        introduce: asks a shard over Ray, within so many seconds, for what ``IntroducedShard.address`` returns.
    """

    def __init__(self, over_ray: Carrier, introduce: Callable[[int, float], Coroutine[Any, Any, bytes]]) -> None:
        super().__init__()
        self._over_ray = over_ray
        self._introduce = introduce
        self._connections: dict[int, _ShardConnection] = {}
        self._connecting: dict[int, asyncio.Lock] = {}
        self._over_ray_until: dict[int, float] = {}

    async def call(
        self,
        shard: int,
        timeout_s: float,
        method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """See ``cluster.shard_calls.Carrier``."""
        if method.__name__ in METHODS:
            connection = self._connections.get(shard)
            if connection is None or connection.gone:
                connection = await self._connect(shard, timeout_s)
            if connection is not None:
                return cast("T", await connection.call(method.__name__, cast("bytes", args[0]), timeout_s))
        return await self._over_ray.call(shard, timeout_s, method, *args, **kwargs)

    def close(self) -> None:
        """End all connections."""
        for connection in self._connections.values():
            connection.end()
        self._connections.clear()

    async def _connect(self, shard: int, timeout_s: float) -> _ShardConnection | None:
        """Return a connection; None: there is none to be had for a while.  Raises ``ShardUnavailable``."""
        async with self._connecting.setdefault(shard, asyncio.Lock()):
            connection = self._connections.pop(shard, None)
            if connection is not None and not connection.gone:
                self._connections[shard] = connection
                return connection
            if time.monotonic() < self._over_ray_until.get(shard, 0.0):
                return None
            try:
                at = ADDRESS.unpack(await self._introduce(shard, timeout_s))
            except ForeignVersion as error:  # of a release without sockets, or with others
                log.info("shard_without_socket", shard=shard, **described(error))
                self._over_ray_until[shard] = time.monotonic() + TRY_AGAIN_AFTER_S
                return None
            loop = asyncio.get_running_loop()
            try:
                async with asyncio.timeout(CONNECT_WITHIN_S):
                    _, connection = await loop.create_connection(
                        lambda: _ShardConnection(shard, at.token), at.host, at.port
                    )
            except (OSError, TimeoutError) as error:
                log.warning("shard_not_connected", shard=shard, host=at.host, port=at.port, **described(error))
                self._over_ray_until[shard] = time.monotonic() + TRY_AGAIN_AFTER_S
                return None
            self._connections[shard] = connection
            return connection
