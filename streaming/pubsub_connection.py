"""The Pub/Sub connection of a hub: what the server says is heard in the turn of the loop in which it was read.

redis-py connects (password, TLS, names of the world), then its transport is given to a protocol of ours that reads with
hiredis, as in ``streaming.direct_redis``: no stream reader, no task to wake, no timeout for each message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError

__all__ = ["PubSubConnection"]

LOST: Final = "Pub/Sub connection to Redis lost"


class PubSubConnection(asyncio.Protocol):
    """Takes over a connection that redis-py has made, and on which nothing was asked.

    Args:
        heard: told of each message that comes; must not raise.
    """

    def __init__(self, connection: AbstractConnection, heard: Callable[[Any], None]) -> None:
        # Kept: the stream writer in it closes the transport when it is thrown away.
        self._connection = connection
        self._heard = heard
        parser: Any = connection._parser
        self._reader = hiredis.Reader(protocolError=InvalidResponse, replyError=parser.parse_error)
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport = cast("asyncio.Transport", cast("Any", connection)._writer.transport)
        self._transport.set_protocol(self)
        if self._transport.is_closing():
            self._lose(RedisConnectionError(LOST))

    def say(self, *words: str | bytes) -> None:
        """Send a command; what the server says to it is heard like all else."""
        self._transport.write(b"".join(self._connection.pack_command(*words)))

    async def until_lost(self) -> None:
        """Wait for the end of the connection.  Raises ``RedisError``."""
        await asyncio.shield(self._lost)

    def close(self) -> None:
        """End it at once; nothing more is heard."""
        self._lose(RedisConnectionError("closed"))
        self._transport.abort()

    def _lose(self, error: RedisError) -> None:
        if not self._lost.done():
            self._lost.set_exception(error)
            self._lost.exception()  # whoever waits hears of it; nobody may

    # -- asyncio.Protocol --

    def data_received(self, data: bytes) -> None:
        """Pass on the messages that are whole."""
        self._reader.feed(data)
        try:
            while not self._lost.done() and (said := self._reader.gets()) is not False:
                if isinstance(said, RedisError):
                    self._lose(said)
                else:
                    self._heard(said)
        except InvalidResponse as error:
            self._lose(RedisConnectionError(f"Not a message: {error!r}"))

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whoever waits for the end."""
        self._lose(RedisConnectionError(LOST if error is None else f"{LOST}: {error}"))
